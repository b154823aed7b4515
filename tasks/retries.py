"""What all tasks have in common: which failures are worth a retry, and what is kept of results."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from corpusmill.storage.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def stage(
    name: str, run_name: str | None = None, *, retries: int = 2, delay: float = 5
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Makes a function a task that is tried again where that may help.

    Prefect keeps none of its results: what is reused are artifacts.

    Args:
        run_name: of each of its runs, with the parameters that it names; as the task where left
            out.
        delay: seconds before each retry.
    """
    return task(
        name=name,
        task_run_name=run_name or name,
        cache_policy=NO_CACHE,
        retries=retries,
        retry_delay_seconds=delay,
        retry_condition_fn=can_be_retried,
    )


def can_be_retried(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry may help, which it does not if a person must change the input."""
    try:
        state.result()
    except InputError:
        return False
    except Exception:
        return True
    return True
