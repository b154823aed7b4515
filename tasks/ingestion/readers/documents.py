"""Office documents, books and mail (.docx, .pdf, .epub, .odt, .eml, .mbox), read in a process.

A file is one document; in a mailbox, each message is. The process has limits on memory and time.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, Repaired
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.gathered import Found, gather
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.readers.zip_layout import surplus
from corpusmill.tasks.ingestion.streams import DamageError

MEMORY_BYTES = 4 << 30
# Limit of processor time, and one more second for each megabyte.
SECONDS = 60
_BYTES_A_SECOND = 1 << 20
# A busy machine gives a process only a fraction of its time: the limit of wall time is longer.
_PATIENCE = 20
_ARCHIVES = {"docx", "odt", "epub"}
_PROCESS = "corpusmill.tasks.ingestion.extraction.process"


def read_documents(stream: BinaryIO, reading: Reading, kind: str) -> Iterator[Item]:
    """The text of a file of this kind.

    Raises:
        DamageError: the file is no such document, or the process reached a limit or crashed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, said = Path(folder) / "file", Path(folder) / "said"
        with file.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
        size = file.stat().st_size
        end = _run(kind, file, size, said)
        with said.open("rb") as lines:
            unit = "message" if kind == "mbox" else WHOLE_FILE
            yield from gather(_found(lines, kind, end), reading, unit)
        if kind in _ARCHIVES:
            with file.open("rb") as archive:
                yield from surplus(archive, size)


def _run(kind: str, file: Path, size: int, said: Path) -> str:
    """Runs the process; returns how it ended if not by itself, else ""."""
    seconds = SECONDS + size // _BYTES_A_SECOND
    # A folder named `storage` where the flow runs must not hide the package of that name.
    command = [sys.executable, "-P", "-m", _PROCESS, kind, str(file)]
    command += [str(seconds), str(MEMORY_BYTES)]
    with said.open("wb") as out:
        try:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                timeout=seconds * _PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"more than {seconds * _PATIENCE} seconds"
    return f"a reader that ended with code {done.returncode}" if done.returncode else ""


def _found(lines: IO[bytes], kind: str, end: str) -> Iterator[Found | Flaw | Repaired]:
    given = 0
    for line in lines:
        value = json.loads(line) if line.endswith(b"\n") else {}
        if "end" in value:
            return
        if "passed" in value:
            yield Repaired(*value["passed"])
        elif "loss" in value:
            place, reason, finding, remedy, documents, size = value["loss"]
            yield Flaw(place, reason, finding, remedy, "", size, documents)
        elif "number" in value:
            given += 1
            text = value["text"] if "text" in value else base64.b64decode(value["base64"])
            yield Found(value["number"], text)
        else:
            raise DamageError(_damaged(kind, value, end, given))
    raise DamageError(_damaged(kind, {}, end, given))


def _damaged(kind: str, value: dict[str, str], end: str, given: int) -> Flaw:
    found = value.get("error") or end or "no end"
    if value.get("bound"):
        found = f"more than {MEMORY_BYTES >> 30} GB of memory needed"
    return Flaw(
        f"after message {given - 1}" if given else WHOLE_FILE,
        "damaged",
        f"found no .{kind} that can be read ({found}), expected a sound one without a password",
        "save it again with the program that made it, or leave it out",
        "",
        # How much of a mailbox was read is unknown.
        None if given else 0,
    )
