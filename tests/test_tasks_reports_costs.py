"""Costs of a run: seconds in which something was at work, and what stays on the disk."""

import os
from pathlib import Path

from corpusmill.storage.layout import Layout
from corpusmill.tasks.reports.costs import covered, measure_disk


def put(path: Path, when: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 50_000)
    os.utime(path, (when, when))
    return path


def test_seconds_count_once_however_many_are_at_work_and_pauses_do_not() -> None:
    assert covered([(0, 10), (2, 5), (8, 12), (100, 101)]) == 13
    assert covered([]) == 0


def test_databases_of_servers_are_no_growth_and_files_of_runs_are(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    put(layout.artifact("corpus", "old") / "a", 10)
    put(layout.stack / "prefect" / "prefect.db", 30)
    assert measure_disk(layout, [], 20)[0] == 0
    made = put(layout.artifact("model", "new") / "a", 30)
    size = made.stat().st_blocks * 512
    assert measure_disk(layout, [], 20) == (size, 3 * size)
    put(layout.tracked_files / "1" / "report.html", 30)
    scratch = put(layout.artifact("shards", "gone") / "a", 30).parent
    assert measure_disk(layout, [scratch], 20) == (2 * size, 4 * size)
