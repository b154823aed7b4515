"""What MLflow loads and serves: a model from code, no pickle.

MLflow runs this file itself, when a version is logged and when it is loaded; torch is imported
only in the second case. Request: {"dataframe_records": [{"prompt": "…"}], "params": {…}}. One that
cannot be answered as it is, is refused with one sentence: HTTP status 400.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from corpusmill.model.inference.request import AnswerRequest
from corpusmill.storage.config import parse
from corpusmill.storage.errors import InputError
from corpusmill.storage.requests import check_names, refuse_unknown_keys, wrap_once

_SIDE_BY_SIDE = 16
_PARAMETERS = frozenset(AnswerRequest.model_fields) - {"prompt"}


class TextGenerator(PythonModel):
    """Answers prompts with the registered model."""

    def load_context(self, context: Any) -> None:
        """Loads the weights and the tokenizer of this version."""
        from corpusmill.model.inference.answering import load_answerer

        _refuse_unknown_names()
        self._model = load_answerer(Path(context.artifacts["model"]))

    # MLflow reads type hints as the schema of the data, which the signature states already.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """What follows each text of the column `prompt`, or the text with its masks filled in."""
        answers: list[str] = []
        with _refusals():
            asked = _read(model_input, params)
            for first in range(0, len(asked.prompt), _SIDE_BY_SIDE):
                answers += self._model.answers(
                    asked.prompt[first : first + _SIDE_BY_SIDE],
                    max_new_tokens=asked.max_new_tokens,
                    sampling=asked.from_text(first),
                )
        return answers

    def predict_stream(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """The same in pieces, as they are written; one answer after the other."""
        with _refusals():
            asked = _read(model_input, params)
            for number, prompt in enumerate(asked.prompt):
                yield from self._model.stream(
                    prompt,
                    max_new_tokens=asked.max_new_tokens,
                    sampling=asked.from_text(number),
                )


def _read(model_input: Any, params: dict[str, Any] | None) -> AnswerRequest:
    given = model_input.get("prompt", [])
    # MLflow streams one input at a time, of which it makes a plain record.
    prompts: list[Any] = [given] if isinstance(given, str) else list(given)
    if len(prompts) == 1 and isinstance(prompts[0], list):
        # So arrives {"prompt": ["…", "…"]}.
        prompts = prompts[0]
    return parse(AnswerRequest, {"prompt": prompts, **(params or {})})


@contextmanager
def _refusals() -> Iterator[None]:
    """Within, what a person can mend becomes MLflow's error for it."""
    try:
        yield
    except InputError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error


def _refuse_unknown_names() -> None:
    """Has MLflow refuse the names that it would drop."""
    refuse_unknown_keys()
    wrap_once(pyfunc, "_validate_prediction_input", "refuses_unknown_names", _checked_names)


def _checked_names(validate: Callable[..., Any], *given: Any) -> Any:
    _, params, _, schema, *_ = given
    found = validate(*given)
    if schema and {param.name for param in schema.params} == _PARAMETERS:
        check_names("params", params or (), _PARAMETERS)
        columns = given[0] if isinstance(given[0], dict) else getattr(given[0], "columns", ())
        check_names("The input", columns, ["prompt"])
    return found


set_model(TextGenerator())
