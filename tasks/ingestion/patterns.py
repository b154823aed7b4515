"""The files of a folder that a pattern names, however links lead through it."""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.fragments import unreadable

# A pattern may lead to what is not there, and a link to itself: nothing is behind them.
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_ANY_DEPTH = "**"
_MAGIC = re.compile(r"[*?[]")

_Parts = tuple[str, ...]


def matching(base: Path, pattern: str) -> Iterator[Path]:
    """The files below a folder that a glob matches; `**` stands for any number of folders.

    No folder is gone through twice with the same rest of the pattern, so that links that lead
    back, or across, end. Hidden names are matched only where the pattern has their dot.

    Raises:
        CorpusError: a folder on the way cannot be listed, or a link leads to what is not there.
    """
    # glob, pathlib and fsspec pass over in silence what cannot be listed; a link to the folder
    # above has glob find a file 41 times, and the others follow no link.
    parts = tuple(part for part in pattern.split("/") if part)
    if pattern.endswith("/"):
        return
    seen = set()
    waiting = [(base, parts)]
    while waiting:
        folder, parts = waiting.pop()
        state = _identity(folder), parts
        if state in seen:
            continue
        seen.add(state)
        inner = []
        for path, left in _steps(folder, parts):
            mode = _mode(path)
            if stat.S_ISDIR(mode):
                inner += [(path, left)] if left else []
            elif not left and stat.S_ISREG(mode):
                yield path
        # By name: a file that is reached in two ways is named by the first of them.
        waiting.extend(reversed(inner))


def _steps(folder: Path, parts: _Parts) -> Iterator[tuple[Path, _Parts]]:
    """What the first component of a pattern matches, each with the rest of the pattern."""
    first, rest = parts[0], parts[1:]
    if first == _ANY_DEPTH:
        yield from ((path, parts) for path in _entries(folder, "*"))
        yield from _steps(folder, rest or ("*",))
    elif _MAGIC.search(first):
        yield from ((path, rest) for path in _entries(folder, first))
    else:
        yield folder / first, rest


def _entries(folder: Path, pattern: str) -> Iterator[Path]:
    is_match = re.compile(fnmatch.translate(pattern)).match
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (Path.iterdir is much slower)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return
        raise unreadable(folder, error) from error
    for name in names:
        if is_match(name) and (pattern.startswith(".") or not name.startswith(".")):
            yield folder / name


def _mode(path: Path) -> int:
    """What kind of file this is, as in `stat`; 0 for nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError as error:
        if not path.is_symlink():
            return 0
        raise CorpusError(
            f"{path} is a link to {path.readlink()}, where nothing is; expected a readable file; "
            "fetch what it leads to (git annex get, say), or remove the link."
        ) from error
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return 0
        raise unreadable(path, error) from error


def _identity(folder: Path) -> tuple[int, int] | Path:
    try:
        status = folder.stat()
    except OSError:
        return folder
    return status.st_dev, status.st_ino
