"""The texts of evaluation sets: every string that a file holds."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.encodings import SAMPLE, encoding_of, to_utf8, without_mark
from corpusmill.tasks.ingestion.fragments import Fragment, SourceFile
from corpusmill.tasks.ingestion.patterns import matching
from corpusmill.tasks.ingestion.readers.formats import (
    ARCHIVES,
    SUPPORTED,
    WITH_FIELDS,
    Format,
    format_of,
    is_read,
    opened,
)
from corpusmill.tasks.ingestion.readers.reading import read
from corpusmill.tasks.ingestion.readers.tables import table_batches
from corpusmill.tasks.ingestion.streams import ByteStream, DamageError, file_chunks

# A member of an archive is read by one field. None has this name, so that members with fields are
# refused.
_EVERY_FIELD = "(every field)"
_UNREADABLE = (
    OSError,
    RecursionError,
    ValueError,
    csv.Error,
    DamageError,
    pa.ArrowException,
)


def evaluation_files(patterns: Sequence[str]) -> list[Path]:
    """The files of these absolute paths or globs, each once, in order of their paths.

    Raises:
        CorpusError: a pattern without files.
    """
    files: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        base = path.anchor
        try:
            rest = pattern.removeprefix(base)
            found = {path} if path.is_file() else set(matching(Path(base), rest))
        except ValueError:  # raised for a path that cannot exist
            found = set()
        if not found:
            raise CorpusError(
                f"corpus.cleaning.decontaminate {pattern} matches no file, expected the absolute "
                "path or glob of evaluation text; mend it, or take it out of the configuration."
            )
        files |= found
    return sorted(files)


def read_texts(path: Path) -> Iterator[str]:
    """The lines of a text, the strings of JSON, the cells of a table, in any format that is read.

    Raises:
        CorpusError: a file that cannot be read, or of another kind.
    """
    try:
        for text in _read(path):
            text.encode()  # JSON may hold a lone surrogate
            yield text
    except _UNREADABLE as error:
        raise CorpusError(
            f"corpus.cleaning.decontaminate {path} cannot be read ({error}); expected {SUPPORTED}; "
            "mend the file, or take it out of the configuration."
        ) from error


def _read(path: Path) -> Iterator[str]:
    named = format_of(path)
    if named is None or not is_read(path):
        raise ValueError(f"its name ends in {path.suffix}")
    raw, form = opened(ByteStream(file_chunks(path)), named)
    if form.kind not in WITH_FIELDS:
        yield from _texts(path, form)
    elif form.kind in {"parquet", "arrow"}:
        yield from _cells(path, form.kind)
    else:
        encoding = encoding_of(raw.head(SAMPLE)[:SAMPLE])
        text = b"".join(without_mark(to_utf8(raw, encoding))).decode()
        yield from _strings(_values(text, form.kind))


def _texts(path: Path, form: Format) -> Iterator[str]:
    """What the reader of this format gives, line by line."""
    status = path.stat()
    size, modified = status.st_size, status.st_mtime_ns
    file = SourceFile("", path.name, path, size, "", modified, form, _EVERY_FIELD, "auto", "line")
    for item in read(Fragment(file), CorpusConfig()):
        if isinstance(item, Flaw):
            unpack = "; unpack an archive of tables or JSON" if form.kind in ARCHIVES else ""
            raise ValueError(f"{item.place}: {item.finding}{unpack}")
        if isinstance(item, DocumentBatch):
            yield from filter(str.strip, item.texts.to_pylist())


def _cells(path: Path, kind: str) -> Iterator[str]:
    for batch in table_batches(path, kind):
        yield from _strings(batch.to_pylist())


def _values(text: str, kind: str) -> Any:
    if kind == "json":
        return json.loads(text)
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    if kind == "tsv":
        return [line.split("\t") for line in text.splitlines()]
    # The limit is that of the whole process, and the reader of .csv sets its own.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return list(csv.reader(io.StringIO(text)))
    finally:
        csv.field_size_limit(limit)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
