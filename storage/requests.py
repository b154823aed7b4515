"""What MLflow would drop of a request without a word, of which its log alone tells: refused."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from mlflow.exceptions import MlflowException

_BODY = ("dataframe_records", "dataframe_split", "instances", "inputs", "params")


def refuse_unknown_keys() -> None:
    """Has MLflow's server refuse a request with keys beside those of its frames."""
    from mlflow.pyfunc import scoring_server

    wrap_once(scoring_server, "_decode_json_input", "refuses_unknown_keys", _checked_keys)


def check_names(place: str, found: Iterable[str], known: Collection[str]) -> None:
    """Raises what MLflow answers with status 400, if a name found is not known."""
    if unknown := [name for name in found if name not in known]:
        raise MlflowException.invalid_parameter_value(
            f"{place} has {unknown[0]!r}; expected {', '.join(sorted(known))} alone."
        )


def wrap_once(
    module: Any, name: str, mark: str, wrapper: Callable[[Callable[..., Any], Any], Any]
) -> None:
    """Puts `wrapper(function, …)` in a function's place, whatever else was put around it.

    What is dropped does not come to the model, so that MLflow's own functions are wrapped; and
    once, for another version or a model of another kind may be loaded in this process.
    """
    function = getattr(module, name)
    if getattr(function, mark, False):
        return

    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        bound = inspect.signature(function).bind(*given, **named)
        return wrapper(function, *bound.args)

    # functools.wraps carries the marks of what is within.
    setattr(wrapped, mark, True)
    setattr(module, name, wrapped)


def _checked_keys(decode: Callable[..., Any], *given: Any) -> Any:
    body = decode(*given)
    # Bare columns are checked against the signature of the model that is asked.
    if not body.keys().isdisjoint(_BODY):
        check_names("The request", body, _BODY)
    return body
