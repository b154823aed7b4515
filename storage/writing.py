"""Folders that are being written, and the locks that tell whether their writers still live.

Several machines may share a store through a network's file system. There a lock on a folder is
known to one machine alone, and one on a file to all of them, if the mount passes locks on. So a
writer holds a lock on a file beside its folder, and no machine clears away what another one left.
"""

import errno
import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusmill.storage.errors import StackError
from corpusmill.storage.manifest import digest_json

_PREFIX = ".tmp-"
_LOCK = ".lock"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def temporary(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, locked and removed with the block, unless it was renamed.

    Raises:
        StackError: the file system has no locks.
    """
    lock, descriptor = _claim(parent)
    directory = lock.with_suffix("")
    try:
        directory.mkdir()
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Removes folders of `temporary` whose writer on this machine is dead."""
    for lock in parent.glob(f"{_PREFIX}*{_LOCK}"):
        if not _is_own(lock.name):
            continue
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except (FileNotFoundError, PermissionError):
            continue
        try:
            _lock(descriptor, lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock on this file, which is made where it is not there.

    Raises:
        StackError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # filelock asks every 50 ms, where flock is woken, and would save none of what follows it here.
    # A network's file system gives such a lock only to whoever may write.
    with path.open("ab") as file:
        _lock(file.fileno(), path, fcntl.LOCK_EX)
        yield


@contextmanager
def lock_or_leave(path: Path) -> Iterator[bool]:
    """Holds the lock on this file, unless somebody else does; whether it is held.

    Raises:
        StackError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            _lock(file.fileno(), path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on this file; none does where it is not there.

    Raises:
        StackError: the file system has no locks.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's, of whom nothing can be asked
    with file:
        try:
            _lock(file.fileno(), path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _claim(parent: Path) -> tuple[Path, int]:
    """A new lock file that is locked, and its descriptor."""
    while True:
        descriptor, name = tempfile.mkstemp(_LOCK, f"{_PREFIX}{_host()}-{_boot()}-", parent)
        try:
            _lock(descriptor, Path(name), fcntl.LOCK_EX)
        except StackError:
            Path(name).unlink()
            os.close(descriptor)
            raise
        # Before it was locked it looked like one of a dead writer.
        if Path(name).exists():
            return Path(name), descriptor
        os.close(descriptor)


def _is_own(name: str) -> bool:
    """Whether a writer of this host, or of a container beside this one, made what is called so."""
    host, boot, *_ = name.removeprefix(_PREFIX).split("-")
    return host == _host() or boot == _boot()


def _host() -> str:
    return digest_json(platform.node())[:8]


def _boot() -> str:
    """What all containers of a running kernel have in common."""
    return digest_json(_BOOT.read_text() if _BOOT.exists() else platform.node())[:8]


def _lock(descriptor: int, path: Path, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        raise StackError(
            f"The file system of {path.parent} gives no locks ({error.strerror}); expected one "
            "that does: mount it with locks (for NFS, version 4 or local_lock=flock), or move "
            "CORPUSMILL_HOME."
        ) from error
