"""Calls side by side, each of which waits for processes of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from threading import Event
from typing import TypeVar

from corpusmill.storage.errors import ProcessError

R = TypeVar("R")


class UntilStopped:
    """Follows the training of a thread, and ends it once its flow has ended."""

    def __init__(self) -> None:
        self._stopped = Event()

    def stop(self) -> None:
        """Ends what is followed."""
        self._stopped.set()

    def follow(self) -> None:
        """Raises ProcessError where it is to end."""
        if self._stopped.is_set():
            raise ProcessError(
                "The flow has ended, or another training beside this one has failed; a retry goes "
                "on from the newest checkpoint."
            )


def side_by_side(calls: Sequence[Callable[[], R]], at_once: int, followed: UntilStopped) -> list[R]:
    """What the calls return, some of them at a time; the first that fails ends them all.

    Args:
        followed: by the training of each of them.
    """
    with ThreadPoolExecutor(at_once) as pool:
        # With the context of this thread, by which Prefect knows whose log it is.
        futures = [pool.submit(copy_context().run, call) for call in calls]
        try:
            # Of whatever fails first the words are heard.
            for future in as_completed(futures):
                future.result()
        except BaseException:
            followed.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
