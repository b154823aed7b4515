"""What MLflow loads and serves: a model from code, no pickle.

MLflow runs this file itself, when a version is logged and when it is loaded; torch is imported
only in the second case. Request: {"dataframe_records": [{"prompt": "…"}], "params": {…}}. One that
cannot be answered as it is, is refused with one sentence: HTTP status 400.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from corpusmill.model.inference.request import AnswerRequest
from corpusmill.storage.config import parse
from corpusmill.storage.errors import InputError

_SIDE_BY_SIDE = 16
_PARAMETERS = frozenset(AnswerRequest.model_fields) - {"prompt"}
_BODY = ("dataframe_records", "dataframe_split", "instances", "inputs", "params")


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
    """Has MLflow refuse the names that it would drop, of which its log alone would tell.

    What is dropped does not come to the model, so that MLflow's own functions are wrapped.
    """
    from mlflow import pyfunc
    from mlflow.pyfunc import scoring_server

    _wrap(pyfunc, "_validate_prediction_input", _check_prediction)
    _wrap(scoring_server, "_decode_json_input", _check_body)


def _wrap(module: Any, name: str, check: Callable[..., None]) -> None:
    function = getattr(module, name)
    # Another version may be loaded in this process.
    if not hasattr(function, "__wrapped__"):

        @functools.wraps(function)
        def checked(*given: Any, **named: Any) -> Any:
            found = function(*given, **named)
            check(found, *inspect.signature(function).bind(*given, **named).args)
            return found

        setattr(module, name, checked)


def _check_prediction(_: Any, data: Any, params: Any, __: Any, schema: Any, *___: Any) -> None:
    if schema and {param.name for param in schema.params} == _PARAMETERS:
        _check_names("params", params or (), _PARAMETERS)
        columns = data if isinstance(data, dict) else getattr(data, "columns", ())
        _check_names("The input", columns, ["prompt"])


def _check_body(body: dict[str, Any], *_: Any) -> None:
    if "prompt" not in body:
        _check_names("The request", body, _BODY)


def _check_names(place: str, found: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in found if name not in known]:
        raise MlflowException.invalid_parameter_value(
            f"{place} has {unknown[0]!r}; expected {', '.join(sorted(known))} alone."
        )


set_model(TextGenerator())
