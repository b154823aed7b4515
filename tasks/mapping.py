"""One task for each group of documents, on this machine's cores, on Ray or on Dask.

Where the groups are worked on changes no byte of what they become: it is a setting of the machine,
not of a run. Other machines need the store at the same path.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner
from prefect.tasks import Task

from model.process import die_with_parent
from storage.errors import ConfigError, StackError
from storage.settings import Settings

R = TypeVar("R")
_LITTLE_BYTES = 32 << 20
_SAY_EVERY = 10.0
_ATTEMPTS = 3


def map_groups(
    settings: Settings,
    work: Task[Any, R],
    calls: Sequence[Mapping[str, Any]],
    sizes: Sequence[int],
    what: str,
    uses_all_cores: bool = False,
) -> list[R]:
    """The results of `work` for each of `calls`, in their order.

    Where there is little to do it is done in this process: others would take seconds to start. So
    is work on this machine that uses all cores by itself.

    Args:
        calls: keyword arguments of each call.
        sizes: bytes that each call works on, for the progress.
        what: names the stage in the progress.
        uses_all_cores: whether one call makes full use of a machine.

    Raises:
        ConfigError: the task runner that the settings name is not installed.
        StackError: processes that work on groups are killed again and again.
    """
    here = uses_all_cores and settings.task_runner == "local"
    if here or len(calls) == 1 or sum(sizes) < _LITTLE_BYTES:
        return _work_here(work, calls, sizes, what)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with task_runner(settings) as runner:
                futures = [runner.submit(work, dict(call)) for call in calls]
                return _gather(futures, sizes, what)
        except BrokenProcessPool:
            # The groups that are done are found again as artifacts.
            get_run_logger().warning("%s: a process was killed, attempt %d", what, attempt)
    raise StackError(
        f"{what}: the processes were killed {_ATTEMPTS} times, most likely for want of memory; "
        "free some, or set CORPUSMILL_PROCESSES to use fewer, and run again: what is done is kept."
    )


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """What runs the groups: `local`, or `ray` or `dask`, each with an address if need be.

    Raises:
        ConfigError: another name, or one whose package is not installed.
    """
    name, _, address = settings.task_runner.partition("=")
    try:
        if name == "local":
            return ProcessPoolTaskRunner(
                max_workers=settings.processes,
                initializer=die_with_parent,
                initargs=(signal.SIGTERM,),
            )
        if name == "ray":
            from prefect_ray import RayTaskRunner

            ray: TaskRunner[Any] = RayTaskRunner(address=address or None)
            return ray
        if name == "dask":
            from prefect_dask.task_runners import DaskTaskRunner

            workers = {"n_workers": settings.processes, "threads_per_worker": 1}
            if address:
                return DaskTaskRunner(address=address)
            return DaskTaskRunner(cluster_kwargs=workers)
    except ImportError as error:
        raise ConfigError(
            f"CORPUSMILL_TASK_RUNNER is {name!r}, but {error.name} is not installed; expected the "
            f"extra of that name: pip install 'corpusmill[{name}]'."
        ) from error
    raise ConfigError(
        f"CORPUSMILL_TASK_RUNNER is {settings.task_runner!r}; expected local, ray, dask, "
        "ray=ADDRESS or dask=ADDRESS."
    )


def _work_here(
    work: Task[Any, R], calls: Sequence[Mapping[str, Any]], sizes: Sequence[int], what: str
) -> list[R]:
    progress = _Progress(what, sum(sizes))
    results = []
    for call, size in zip(calls, sizes, strict=True):
        results.append(work(**call))
        progress.advance(size)
    progress.finish()
    return results


def _gather(futures: Sequence[PrefectFuture[R]], sizes: Sequence[int], what: str) -> list[R]:
    progress = _Progress(what, sum(sizes))
    results = []
    for future, size in zip(futures, sizes, strict=True):
        results.append(future.result())
        progress.advance(size)
    progress.finish()
    return results


class _Progress:
    """Says how far a stage is, how fast it goes and how long it will take: log and artifact."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, max(1, total), 0
        self._began = self._said = time.monotonic()
        key = f"progress-{what}".replace("_", "-")
        self._artifact = create_progress_artifact(0.0, key=key, description=what)

    def advance(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._said < _SAY_EVERY or self._done >= self._total:
            return
        self._said = now
        rate = self._done / (now - self._began)
        left = (self._total - self._done) / max(rate, 1.0)
        line = f"{self._done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB, {rate / 1e6:,.1f} MB/s"
        get_run_logger().info("%s: %s, %.0f s left", self._what, line, left)
        self._update(100.0 * self._done / self._total)

    def finish(self) -> None:
        seconds = time.monotonic() - self._began
        rate = self._total / 1e6 / max(seconds, 1e-3)
        get_run_logger().info(
            "%s: %s MB in %.1f s, %.1f MB/s",
            self._what,
            f"{self._total / 1e6:,.0f}",
            seconds,
            rate,
        )
        self._update(100.0)

    def _update(self, percent: float) -> None:
        if isinstance(self._artifact, UUID):
            update_progress_artifact(self._artifact, percent)
