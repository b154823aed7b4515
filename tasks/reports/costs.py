"""What a flow run has taken up to now: seconds by stage, and room on the disk."""

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from uuid import UUID

from prefect import get_client, runtime
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from corpusmill.storage.layout import Layout
from corpusmill.tasks.reports.outcome import Costs

_NUMBER = re.compile(r"-\d+$")  # of a partition
_PAGE = 200  # of task runs that the server gives at once


def measure_costs(layout: Layout, scratch: Collection[Path]) -> Costs:
    """Costs of the flow run that calls this, as Prefect and the disk have them.

    Args:
        layout: of the store.
        scratch: folders that will not stay, and are not counted.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for run in _task_runs(UUID(str(runtime.flow_run.id))):
        if run.start_time and run.end_time:
            span = run.start_time.timestamp(), run.end_time.timestamp()
            spans.setdefault(_NUMBER.sub("", run.name), []).append(span)
    every = [span for stage in spans.values() for span in stage]
    written, store = measure_disk(layout, scratch, min(every, default=(float("inf"), 0.0))[0])
    stages = sorted(spans.items(), key=lambda item: min(item[1]))
    return Costs(
        stages=[(name, round(covered(stage), 3)) for name, stage in stages],
        seconds=round(covered(every), 3),
        written=written,
        store=store,
        free=shutil.disk_usage(layout.root).free,
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in at least one of these (begin, end)."""
    total, reached = 0.0, float("-inf")
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def measure_disk(layout: Layout, scratch: Collection[Path], since: float) -> tuple[int, int]:
    """Bytes that were written and stay, and those of the whole store.

    A server's database changes whole whatever is written to it: of what the servers keep only the
    files of runs are counted as written.

    Args:
        since: seconds of the clock.
    """
    written = store = 0
    for folder, file in _files(layout.root, frozenset(scratch)):
        store += file.st_blocks * 512
        servers = folder.is_relative_to(layout.stack)
        if file.st_mtime >= since and (not servers or folder.is_relative_to(layout.tracked_files)):
            written += file.st_blocks * 512
    return written, store


def _task_runs(flow_run: UUID) -> list[TaskRun]:
    found = list[TaskRun]()
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    with get_client(sync_client=True) as client:
        while True:
            page = client.read_task_runs(flow_run_filter=of_run, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return found


def _files(home: Path, without: Collection[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """All regular files below with their folders, each inode once, but what vanishes meanwhile."""
    seen = set[int]()
    for folder, folders, names in os.walk(home):
        folders[:] = [each for each in folders if Path(folder, each) not in without]
        for name in names:
            try:
                found = Path(folder, name).lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
                seen.add(found.st_ino)
                yield Path(folder), found
