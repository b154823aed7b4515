"""Ends flow runs whose process is gone without a word: `python -m corpusmill.tasks.stack.watch`.

Such a run would stay Running for ever and hold its deployment's concurrency slot. Prefect's own
remedy, an automation on missing heartbeats, takes a server that was away, or a machine that slept,
for the death of every run. The processes are on this machine, so they are looked for.
"""

import contextlib
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil

from corpusmill.storage.errors import StackError
from corpusmill.storage.settings import load_settings
from corpusmill.tasks.stack import supervision
from corpusmill.tasks.stack.authentication import read_key
from corpusmill.tasks.stack.prefect_server import PrefectServer

_SECONDS = 10
LOOKS = 3
# A worker calls a run Pending before it prepares and starts the process.
LOOKS_PENDING = 12


def look(server: PrefectServer, stack: Path, missed: Counter[str]) -> Counter[str]:
    """Compares the runs that have begun with the processes, and ends those missed often enough.

    Args:
        missed: how many looks in a row have found no process of a run.

    Returns:
        the same after this look.

    Raises:
        StackError: the server does not answer.
    """
    begun = server.begun_runs()
    gone = begun.keys() - with_process(stack)
    missed = Counter({run: missed[run] + 1 for run in gone})
    for run, times in missed.items():
        if times >= (LOOKS_PENDING if begun[run] == "PENDING" else LOOKS):
            end_run(server, run, begun[run], "The process of this run is gone.")
    return missed


def end_run(server: PrefectServer, run: str, state: str, reason: str) -> None:
    """Calls a flow run without a process what it came to: Cancelled where that was asked for."""
    server.set_state(run, "CANCELLED" if state == "CANCELLING" else "CRASHED", reason)


def with_process(stack: Path) -> set[str]:
    """Flow runs that have a process on this machine."""
    found = set()
    for process in supervision.members(stack):
        with contextlib.suppress(psutil.Error, KeyError):
            found.add(process.environ()["PREFECT__FLOW_RUN_ID"])
    return found


def main() -> None:
    """Looks again and again, until a signal."""
    stack = Path.cwd()
    server = PrefectServer(replace(load_settings(), key=read_key(stack)))
    missed: Counter[str] = Counter()
    while True:
        time.sleep(_SECONDS)
        try:
            missed = look(server, stack, missed)
        except StackError:
            # What was missed before it went away may have been a run that it has not heard of.
            missed.clear()


if __name__ == "__main__":
    main()
