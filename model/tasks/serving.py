"""What MLflow loads and serves of a network that answers with labels: code, no pickle.

Request: {"dataframe_records": [{"text": "…"}]}, with `text_pair` where it was taught pairs. Answer:
`label` with its probability `score`, and `scores` of all labels; `labels` where there may be
several; `value` where it tells numbers.
"""

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from corpusmill.storage.errors import InputError


class TextLabeller(PythonModel):
    """Answers texts with the registered model."""

    def load_context(self, context: Any) -> None:
        """Loads the weights and the tokenizer of this version."""
        from corpusmill.model.tasks.prediction import Predictor

        self._predictor = Predictor(Path(context.artifacts["model"]))

    # MLflow reads type hints as the schema of the data, which the signature states already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """A row of answers for each row of texts."""
        import pandas  # type: ignore[import-untyped]

        from corpusmill.model.tasks.answers import answers_of

        try:
            answers = answers_of(self._predictor, _column(model_input, "text"), _pairs(model_input))
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pandas.DataFrame(answers)


def _pairs(model_input: Any) -> list[str] | None:
    columns = model_input if isinstance(model_input, dict) else model_input.columns
    return _column(model_input, "text_pair") if "text_pair" in columns else None


def _column(model_input: Any, name: str) -> list[str]:
    found = model_input[name]
    texts = [found] if isinstance(found, str) else list(found)
    for number, each in enumerate(texts):
        if not isinstance(each, str):
            raise MlflowException.invalid_parameter_value(
                f"{name} of row {number + 1} is {each!r}; expected a string."
            )
    return texts


set_model(TextLabeller())
