"""Digests of files, kept from flow to flow: a file whose path, size and times are the same is not
read again.

As in git's index, a file changed within the moments before it was digested is not kept: a second
change in the same tick of the clock would not show.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from corpusmill.storage.manifest import digest_file

_TABLE = (
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, "
    "changed INTEGER, digest TEXT) WITHOUT ROWID"
)
_TICK_NS = 2_000_000_000
_PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class DigestedFile:
    """A file as it was when it was digested.

    Attributes:
        size: bytes.
        modified, changed: times of change of its bytes and of its entry, in ns.
        digest: SHA-256 of its bytes, in hex.
    """

    path: Path
    size: int
    modified: int
    changed: int
    digest: str


def digest_files(index: Path | None, paths: Sequence[Path]) -> list[DigestedFile]:
    """Digests files, side by side, those aside that the index has as they are now.

    Args:
        index: file of the index, made if need be; None to read all files. One that cannot be used
            costs time, nothing else.

    Raises:
        OSError: a file cannot be read.
    """
    if index is None:
        return _read_all(paths)
    try:
        known = _known(index, paths)
    except sqlite3.Error:
        return _read_all(paths)
    wanted = [path for path in paths if path not in known]
    # By the clock of before: a file may change again while others are still read.
    settled = time.time_ns() - _TICK_NS
    found = {each.path: each for each in _read_all(wanted)}
    with suppress(sqlite3.Error):
        _keep(
            index, [each for each in found.values() if max(each.modified, each.changed) < settled]
        )
    return [known.get(path) or found[path] for path in paths]


def _known(index: Path, paths: Sequence[Path]) -> dict[Path, DigestedFile]:
    with suppress(OSError):  # SQLite says what that leads to
        index.parent.mkdir(parents=True, exist_ok=True)
    known: dict[Path, DigestedFile] = {}
    with closing(_open(index)) as database:
        for path in paths:
            row = database.execute(
                "SELECT size, modified, changed, digest FROM files WHERE path = ?", (_key(path),)
            ).fetchone()
            status = path.stat()
            now = status.st_size, status.st_mtime_ns, status.st_ctime_ns
            if row and tuple(row[:3]) == now:
                known[path] = DigestedFile(path, *row)
    return known


def _keep(index: Path, files: Iterable[DigestedFile]) -> None:
    rows = [
        (_key(each.path), each.size, each.modified, each.changed, each.digest) for each in files
    ]
    with closing(_open(index)) as database, database:
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)


def _open(index: Path) -> sqlite3.Connection:
    database = sqlite3.connect(index, timeout=_PATIENCE_SECONDS)
    database.execute(_TABLE)
    return database


def _key(path: Path) -> str:
    # File names may be any bytes, which SQLite's text is not.
    return str(path.absolute()).encode("utf-8", "surrogateescape").hex()


def _read_all(paths: Sequence[Path]) -> list[DigestedFile]:
    with ThreadPoolExecutor() as threads:  # hashlib releases the GIL
        return list(threads.map(_read, paths))


def _read(path: Path) -> DigestedFile:
    status = path.stat()
    return DigestedFile(
        path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest_file(path)
    )
