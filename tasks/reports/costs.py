"""What a flow run has taken up to now: seconds by stage, and room on the disk."""

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID

from prefect import get_client, runtime
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from corpusmill.tasks.reports.outcome import Costs

_NUMBER = re.compile(r"-\d+$")  # of a partition
_PAGE = 200  # of task runs that the server gives at once


def measure_costs(home: Path, scratch: Collection[Path]) -> Costs:
    """Costs of the flow run that calls this, as Prefect and the disk have them.

    Args:
        home: the store.
        scratch: folders that will not stay, and are not counted.
    """
    runs = _task_runs(UUID(str(runtime.flow_run.id)))
    spans: dict[str, tuple[float, float]] = {}
    for run in runs:
        if run.start_time and run.end_time:
            begun, ended = run.start_time.timestamp(), run.end_time.timestamp()
            stage = _NUMBER.sub("", run.name)
            first, last = spans.get(stage, (begun, ended))
            spans[stage] = min(first, begun), max(last, ended)
    since = min((begun for begun, _ in spans.values()), default=float("inf"))
    written = store = 0
    for file in _files(home, frozenset(scratch)):
        store += file.st_blocks * 512
        if file.st_mtime >= since:
            written += file.st_blocks * 512
    stages = sorted(spans.items(), key=lambda item: item[1])
    return Costs(
        stages=[(name, round(ended - begun, 3)) for name, (begun, ended) in stages],
        written=written,
        store=store,
        free=shutil.disk_usage(home).free,
    )


def _task_runs(flow_run: UUID) -> list[TaskRun]:
    found = list[TaskRun]()
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    with get_client(sync_client=True) as client:
        while True:
            page = client.read_task_runs(flow_run_filter=of_run, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return found


def _files(home: Path, without: Collection[Path]) -> Iterator[os.stat_result]:
    """All regular files below, each inode once; what vanishes meanwhile is left out."""
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
                yield found
