"""The journal of a training run: append-only JSON lines of metrics and events.

One process writes it under a lock; any number follow it. A line that a crash cut short is closed
by the next writer and skipped by readers, so no event is read in part.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import ArtifactError

Record = dict[str, Any]


class JournalWriter:
    """The single writer of a journal."""

    def __init__(self, path: Path, patience: float = 30.0) -> None:
        """Opens for appending; waits up to `patience` seconds for an earlier writer to end.

        Raises:
            ArtifactError: another process is still writing.
        """
        self._file = path.open("ab")
        _lock(self._file.fileno(), path, patience)
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")

    def write(self, event: str, **fields: Any) -> None:
        """Appends one record with the time in Unix seconds; readers see it at once."""
        record = {"event": event, "time": round(time.time(), 3), **fields}
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> None:
        """Makes what is written survive a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class JournalReader:
    """Follows a journal from its beginning, a call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Record]:
        """The complete records written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [record for line in complete.splitlines() if (record := _parse(line))]


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _lock(descriptor: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ArtifactError(
                    f"{path} is being written by another process; wait for that run to end or "
                    "cancel it."
                ) from None
            time.sleep(0.2)
        else:
            return
