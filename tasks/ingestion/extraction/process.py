"""Reads one file: `-m corpusmill.tasks.ingestion.extraction.process KIND FILE SECONDS BYTES`.

A hostile file may exhaust time or memory, or crash the library that reads it: so it is read in a
process of its own, with limits on processor time and memory. It writes one JSON object per line.
"""

import base64
import json
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from typing import Any

from corpusmill.tasks.ingestion.extraction.found import Counted, Extract, Text, Unreadable

_READERS = {
    "docx": ("word", "read_word"),
    "odt": ("open_document", "read_open_document"),
    "epub": ("pages", "read_epub"),
    "eml": ("mail", "read_message"),
    "mbox": ("mail", "read_mailbox"),
    "pdf": ("pdf", "read_pdf"),
}
_ERRORS = (ValueError, LookupError, OSError, RecursionError, RuntimeError, zipfile.BadZipFile)


def main(kind: str, file: str, seconds: str, size: str) -> None:
    """Reads a file, in at most so many seconds and bytes, and writes what is found."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (int(size), int(size)))
    module, name = _READERS[kind]
    read: Callable[[Path], Iterator[Extract]] = getattr(
        import_module(f"corpusmill.tasks.ingestion.extraction.{module}"), name
    )
    try:
        for found in read(Path(file)):
            _write(_as_json(found))
    except MemoryError:
        _write({"bound": "memory"})
    except _ERRORS as error:
        _write({"error": str(error) or type(error).__name__})
    else:
        _write({"end": True})


def _as_json(found: Extract) -> dict[str, Any]:
    if isinstance(found, Counted):
        return {"passed": [found.name, found.count]}
    if isinstance(found, Unreadable):
        return {"loss": astuple(found)}
    assert isinstance(found, Text)
    if isinstance(found.text, bytes):
        return {"number": found.number, "base64": base64.b64encode(found.text).decode()}
    return {"number": found.number, "text": found.text}


def _write(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
