"""One task for each partition of documents, on this machine's cores, on Ray or on Dask.

The task runner changes no byte of the results: it is a setting of the machine, not of a run. Other
machines need the store at the same path.
"""

import signal
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from prefect import get_run_logger
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner
from prefect.tasks import Task

from corpusmill.model.process import die_with_parent
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.settings import Settings
from corpusmill.tasks.progress import ProgressBar
from corpusmill.tasks.stages.corpus import LITTLE_BYTES, killed
from corpusmill.tasks.stages.progress import gather

R = TypeVar("R")
_ATTEMPTS = 3


def map_partitions(
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
        StackError: processes that work on partitions are killed again and again.
    """
    bar = ProgressBar(f"progress-{what}")
    here = uses_all_cores and settings.task_runner == "local"
    if here or len(calls) == 1 or sum(sizes) < LITTLE_BYTES:
        return gather((work(**call) for call in calls), sizes, what, bar)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with task_runner(settings) as runner:
                futures = [runner.submit(work, dict(call)) for call in calls]
                return gather((future.result() for future in futures), sizes, what, bar)
        except BrokenProcessPool:
            # The partitions that are done are found again as artifacts.
            get_run_logger().warning("%s: a process was killed, attempt %d", what, attempt)
    raise killed(what)


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """What runs the partitions: `local`, or `ray` or `dask`, each with an address if need be.

    Raises:
        ConfigError: another name, or one whose package is not installed.
    """
    name, _, address = settings.task_runner.partition("=")
    try:
        if settings.task_runner == "local":
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

            # Its page would be open to everybody in the network. Its scheduler runs what it is
            # sent, therefore only what shows a certificate of this cluster, which nobody else has.
            workers = {
                "n_workers": settings.processes,
                "threads_per_worker": 1,
                "dashboard_address": None,
                "host": "127.0.0.1",
                "security": True,
            }
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
