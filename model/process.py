"""What a training or evaluation process owes the one that started it. Imports no torch."""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from corpusmill.storage.errors import InputError

# Exit code that says: another try helps only once the input has changed. A traceback's is 1.
INPUT_ERROR = 3
_PR_SET_PDEATHSIG = 1
# As long as the launching side waits before it kills.
_GRACE_SECONDS = 20.0


@contextmanager
def imports_that_last() -> Iterator[None]:
    """Never looks for garbage in what is made within the block: torch alone is 160,000 objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def do_job(module: str, work: Callable[[Path], None]) -> int:
    """What a process with one job does: the work, or one sentence on standard error.

    Args:
        module: that is run, for those who run it by hand.
        work: on the file of the job.

    Returns:
        The exit code: 0 done, 2 called wrongly, `INPUT_ERROR` where the input must change.
    """
    if len(sys.argv) != 2:
        print(f"usage: python -m {module} job.json", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGKILL)
    try:
        work(Path(sys.argv[1]))
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    return 0


def die_with_parent(death_signal: signal.Signals) -> None:
    """Asks the kernel for `death_signal` when the parent ends, however it ends (Linux only).

    Call it before long imports: a parent that died earlier is noticed here.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() == 1 and b"python" not in Path("/proc/1/cmdline").read_bytes():
        sys.exit("the launcher ended before this process began")


def stop_with_parent() -> None:
    """Asks this process to stop, by SIGTERM, when its parent ends; kills it if it does not.

    So a launcher that dies costs no work: there is time for a checkpoint, and then an end even if
    the main thread waits for a peer that is dead.
    """
    die_with_parent(signal.SIGTERM)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)  # where the kernel has not
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class StopRequest:
    """Whether SIGTERM or SIGINT has asked this process to finish at the next good moment."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()
