"""The files of a folder that a pattern names, however links lead through it."""

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ANY_DEPTH = "**"
_MAGIC = re.compile(r"[*?[]")

_Parts = tuple[str, ...]


def matching(base: Path, pattern: str) -> Iterator[Path]:
    """The files below a folder that a glob matches; `**` stands for any number of folders.

    No folder is gone through twice with the same rest of the pattern, so that links that lead
    back, or across, end. Hidden names are matched only where the pattern has their dot.
    """
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
            if path.is_dir():
                inner += [(path, left)] if left else []
            elif not left and path.is_file():
                yield path
        # The first by name comes next, for by it the files behind two ways are called.
        waiting.extend(reversed(inner))


def _steps(folder: Path, parts: _Parts) -> Iterator[tuple[Path, _Parts]]:
    """What one part of a pattern leads to, each with the rest of the pattern."""
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
    except OSError:
        return
    for name in names:
        if is_match(name) and (pattern.startswith(".") or not name.startswith(".")):
            yield folder / name


def _identity(folder: Path) -> tuple[int, int] | Path:
    try:
        status = folder.stat()
    except OSError:
        return folder
    return status.st_dev, status.st_ino
