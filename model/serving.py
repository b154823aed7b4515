"""What MLflow loads and serves: a model from code, no pickle.

MLflow runs this file itself, when a version is logged and when it is loaded; torch is imported
only in the second case. Request: {"dataframe_records": [{"prompt": "…"}], "params": {…}}.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

_SIDE_BY_SIDE = 16


class TextGenerator(PythonModel):
    """Answers prompts with the registered model."""

    def load_context(self, context: Any) -> None:
        """Loads the weights and the tokenizer of this version."""
        from model.answering import load_answerer

        self._model = load_answerer(Path(context.artifacts["model"]))

    # MLflow reads type hints as the schema of the data, which the signature states already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """What follows each text of the column `prompt`, or the text with its masks filled in."""
        prompts, answers = _prompts(model_input), []
        for first in range(0, len(prompts), _SIDE_BY_SIDE):
            some = prompts[first : first + _SIDE_BY_SIDE]
            answers += self._model.answers(some, **_options(params))
        return answers

    def predict_stream(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """The same in pieces, as they are written; one answer after the other."""
        for prompt in _prompts(model_input):
            yield from self._model.stream(prompt, **_options(params))


def _prompts(model_input: Any) -> list[str]:
    prompts = model_input["prompt"]
    # MLflow streams one input at a time, of which it makes a plain record.
    return [prompts] if isinstance(prompts, str) else [str(prompt) for prompt in prompts]


def _options(params: dict[str, Any] | None) -> dict[str, Any]:
    from model.generation import Sampling

    options: dict[str, Any] = {"temperature": 0.8, **(params or {})}
    length = options.pop("max_new_tokens", 80)
    return {"max_new_tokens": length, "sampling": Sampling(**options)}


set_model(TextGenerator())
