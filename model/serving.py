"""What MLflow loads and serves: a model from code, no pickle.

MLflow runs this file itself, when a version is logged and when it is loaded; torch is imported
only in the second case. Request: {"dataframe_records": [{"prompt": "…"}], "params": {…}}.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class TextGenerator(PythonModel):
    """Continues prompts with the registered model."""

    def load_context(self, context: Any) -> None:
        """Loads the weights and the tokenizer of this version."""
        from model.scoring import load_writer

        self._writer = load_writer(Path(context.artifacts["model"]))

    # MLflow reads type hints as the schema of the data, which the signature states already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """Continuations of the column `prompt`, one each."""
        options: dict[str, Any] = {"max_new_tokens": 80, "temperature": 0.8, "top_k": 50, "seed": 0}
        options |= params or {}
        return [
            self._writer.continue_text(str(prompt), **options) for prompt in model_input["prompt"]
        ]


set_model(TextGenerator())
