"""What MLflow loads and serves of a network that answers with labels: code, no pickle.

Request: {"text": "…"} or {"text": ["…", "…"]}, with `text_pair` where it was taught pairs, or the
same in a frame of MLflow's, such as {"dataframe_records": [{"text": "…"}]}. Answer, in a list
`predictions`: `label`, its probability `score`, and `scores` of all labels; `labels` where there
may be several; `value` where it tells numbers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from corpusmill.storage.errors import InputError
from corpusmill.storage.requests import refuse_unknown_keys, wrap_once


class TextLabeller(PythonModel):
    """Answers texts with the registered model."""

    def load_context(self, context: Any) -> None:
        """Loads the weights and the tokenizer of this version."""
        from corpusmill.model.tasks.prediction import Predictor

        _accept_bare_texts()
        self._predictor = Predictor(Path(context.artifacts["model"]))

    # MLflow reads type hints as the schema of the data, which the signature states already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """A row of answers for each row of texts."""
        import pandas  # type: ignore[import-untyped]

        from corpusmill.model.tasks.answers import answers_of

        texts = _column(model_input, "text")
        try:
            answers = answers_of(self._predictor, texts, _pairs(model_input, texts))
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pandas.DataFrame(answers)


def _accept_bare_texts() -> None:
    """Has MLflow's server take {"text": …}, around which it would ask for a frame."""
    from mlflow.pyfunc import scoring_server

    refuse_unknown_keys()
    wrap_once(scoring_server, "_decode_json_input", "takes_texts", _decoded)


def _decoded(decode: Callable[..., Any], *given: Any) -> Any:
    return _framed(decode(*given))


def _framed(body: dict[str, Any]) -> dict[str, Any]:
    """A request as MLflow has them: bare columns of texts in a frame, any other as it is."""
    bare = "text" in body and body.keys() <= {"text", "text_pair"}
    return {"inputs": body} if bare else body


def _pairs(model_input: Any, texts: list[str]) -> list[str] | None:
    columns = model_input if isinstance(model_input, dict) else model_input.columns
    if "text_pair" not in columns:
        return None
    pairs = _column(model_input, "text_pair")
    if len(pairs) != len(texts):
        raise MlflowException.invalid_parameter_value(
            f"The request has {len(texts)} of text and {len(pairs)} of text_pair; expected as many "
            "of both."
        )
    return pairs


def _column(model_input: Any, name: str) -> list[str]:
    found = model_input[name]
    texts = [found] if isinstance(found, str) else list(found)
    if len(texts) == 1 and isinstance(texts[0], list):
        # So arrives {"text": ["…", "…"]}.
        texts = texts[0]
    for number, each in enumerate(texts):
        if not isinstance(each, str):
            raise MlflowException.invalid_parameter_value(
                f"{name} of row {number + 1} is {each!r}; expected a string."
            )
    return texts


set_model(TextLabeller())
