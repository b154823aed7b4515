"""Files read as a corpus reads them, for tests of readers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.readers.formats import format_at
from corpusmill.tasks.ingestion.readers.reading import cut, read
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.streams import DamageError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_OF_THE_FILE = ("text_field", "encoding", "text_unit", "pair", "quoted")


def real(folder: str) -> Path:
    """A folder of the test data; the test is skipped where it is absent."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"the folder {folder} of test data is not beside the checkout")
    return DATA / folder


def source_file(path: Path, **fields: Any) -> SourceFile:
    """The file as a source names it, read with the defaults of CorpusConfig but for `fields`."""
    status = path.stat()
    how: dict[str, Any] = {"text_field": "text", "encoding": "auto", "text_unit": "file"} | fields
    form = format_at(path)
    return SourceFile("s", path.name, path, status.st_size, "", status.st_mtime_ns, form, **how)


def items_of(path: Path, fragment_bytes: int = 1 << 40, **fields: Any) -> list[Item]:
    """Everything that reading the file gives."""
    of_file = {name: fields.pop(name) for name in _OF_THE_FILE if name in fields}
    config = CorpusConfig(**fields)
    fragments = cut(source_file(path, **of_file), fragment_bytes)
    return [item for fragment in fragments for item in read(fragment, config)]


def all_of(items: Iterator[Item]) -> list[Item]:
    """What a reader gives, with the flaw that it ends with, if any."""
    found: list[Item] = []
    try:
        found.extend(items)
    except DamageError as error:
        found.append(error.flaw)
    return found


def texts_of(path: Path, **fields: Any) -> list[str]:
    """The texts of the file, none of which has a flaw."""
    items = items_of(path, **fields)
    assert not [item for item in items if isinstance(item, Flaw)]
    return texts_in(items)


def texts_in(items: list[Item]) -> list[str]:
    """All texts among the items, in order."""
    texts = []
    for item in items:
        if isinstance(item, DocumentBatch):
            item.texts.validate(full=True)
            texts += item.texts.to_pylist()
    return texts


def places_in(items: list[Item]) -> list[str]:
    """Where all texts among the items lie."""
    batches = [item for item in items if isinstance(item, DocumentBatch)]
    return [batch.place(row) for batch in batches for row in range(len(batch))]


def flaws_in(items: list[Item]) -> list[Flaw]:
    """All flaws among the items."""
    return [item for item in items if isinstance(item, Flaw)]


def flaw_of(path: Path, **fields: Any) -> Flaw:
    """The first flaw of the file."""
    return flaws_in(items_of(path, **fields))[0]


def counts_of(path: Path, **fields: Any) -> dict[str, int]:
    """How many texts, flaws of each reason and repairs of each kind the file gives."""
    counts: Counter[str] = Counter()
    for item in items_of(path, **fields):
        if isinstance(item, DocumentBatch):
            counts["text"] += len(item)
        elif isinstance(item, Repaired):
            counts[item.name] += item.count
        else:
            counts[item.reason] += 1
    return dict(counts)
