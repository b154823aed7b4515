"""Which failures are worth a retry."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from corpusmill.storage.errors import InputError


def can_be_retried(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry may help, which it does not if a person must change the input."""
    try:
        state.result()
    except InputError:
        return False
    except Exception:
        return True
    return True
