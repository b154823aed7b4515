"""Calls side by side, each of which waits for a process of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from threading import Event
from typing import TypeVar

from corpusmill.storage.errors import ProcessError

T = TypeVar("T")


class UntilStopped:
    """Follows the trainings of several threads, and ends them once their flow has ended."""

    def __init__(self) -> None:
        self._stopped = Event()

    def stop(self) -> None:
        """Ends each of them as it next asks."""
        self._stopped.set()

    def follow(self) -> None:
        """Raises ProcessError once they are to end."""
        if self._stopped.is_set():
            raise ProcessError(
                "The flow has ended, or another training beside this one has failed; a retry goes "
                "on from the newest checkpoint."
            )


def side_by_side(calls: Sequence[Callable[[], T]], at_once: int, followed: UntilStopped) -> list[T]:
    """What the calls return, in their order.

    Args:
        calls: those that take longest first.
        at_once: how many are under way at a time.
        followed: what ends them where one fails, or the flow does.
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
