"""What a stack finds when it comes back: runs that a power cut took, and nights that it missed."""

from datetime import datetime
from pathlib import Path

from corpusmill.tasks.stack.nightlies import FLOW
from corpusmill.tasks.stack.prefect_server import PrefectServer
from corpusmill.tasks.stack.watch import end_run, with_process


def settle(server: PrefectServer, stack: Path, now: datetime) -> None:
    """Ends what no process stands behind, and leaves of missed nights the newest of each.

    To be called before a worker starts: until then a Pending run has no process to come, and
    nobody takes a missed run.

    Args:
        now: with a time zone; runs that were to begin before it are missed.

    Raises:
        StackError: the Prefect server does not answer.
    """
    begun = server.begun_runs()
    for run in begun.keys() - with_process(stack):
        reason = "The stack ended amid this run, without a word; it has no process any more."
        end_run(server, run, begun[run], reason)
    for nights in server.missed_runs(FLOW, now).values():
        *older, (_, newest) = nights
        for run, _ in older:
            reason = (
                "Missed while the stack was down, with later nights: all are caught up at once by "
                f"the one of {newest:%Y-%m-%d %H:%M %Z}."
            )
            server.set_state(run, "CANCELLED", reason)
