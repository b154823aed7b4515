"""Reads sources into candidates for documents, one at a time and in bounded memory.

What cannot be read becomes a `Flaw` in its place; whether that stops anything is the caller's
decision. In every format the newlines CR LF and CR become LF. A blank line of a .jsonl file is not
a record and is not counted.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.corpus.candidates import (
    Candidate,
    Flaw,
    bad_bytes,
    candidate,
    excerpt_of,
    name_some,
    newlines,
    no_text,
    truncated,
)
from storage.corpus.sources import CorpusConfig, Source, SourceDataset, suffix_of, unreadable
from storage.errors import CorpusError

_BUFFER = 1 << 20
_ROWS = 1024
_MARK = "\ufeff"
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


class _Inflated(io.RawIOBase):
    """The contents of a gzip file; where it is cut off, all that comes before is still given.

    GzipFile itself loses what it had inflated for a read that then fails, and its own readline is
    slow Python.
    """

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def read(source: Source, config: CorpusConfig) -> Iterator[Candidate | Flaw]:
    """Yields every candidate and every flaw of a source, in order.

    Memory holds one document, or one block of a table, at a time.

    Raises:
        CorpusError: a file that cannot be opened or changes meanwhile, a table without the text
            column, a damaged Parquet file.
    """
    if isinstance(source, SourceDataset):
        yield from _read_dataset(source, config.text_field)
        return
    suffix = suffix_of(source.path) or ""
    try:
        if suffix == ".parquet":
            yield from _read_parquet(source.path, config.text_field)
        else:
            with closing(_open(source.path, suffix)) as stream:
                yield from _read_stream(stream, suffix, config)
    except OSError as error:
        raise unreadable(source.path, error) from error
    source.check_unchanged()


def _open(path: Path, suffix: str) -> IO[bytes]:
    if suffix.endswith(".gz"):
        return io.BufferedReader(_Inflated(path), _BUFFER)
    return path.open("rb", buffering=_BUFFER)


def _read_stream(
    stream: IO[bytes], suffix: str, config: CorpusConfig
) -> Iterator[Candidate | Flaw]:
    if suffix.startswith(".jsonl"):
        yield from _read_jsonl(_lines(stream, config.encoding), config.text_field)
    elif config.text_unit == "file":
        yield _read_whole(stream, config.encoding)
    else:
        lines = _text_lines(_lines(stream, config.encoding))
        yield from lines if config.text_unit == "line" else _paragraphs(lines)


def _read_whole(stream: IO[bytes], encoding: str) -> Candidate | Flaw:
    try:
        data = stream.read()
    except _DAMAGED as error:
        return truncated("compressed data", error)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        return bad_bytes(data, error, f"byte {error.start}")
    return candidate("whole file", text.removeprefix(_MARK))


def _lines(stream: IO[bytes], encoding: str) -> Iterator[_Line | Flaw]:
    """Decodes line by line, so that a bad byte costs its own line only.

    Where a newline is not the byte 10 (UTF-16, UTF-32) a bad byte costs the rest of the file.
    """
    number = offset = 0
    try:
        if "\n".encode(encoding) != b"\n":
            yield from _wide_lines(stream, encoding)
            return
        for data in stream:
            number += 1
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                place = f"line {number}, byte {offset + error.start}"
                yield bad_bytes(data, error, place)
            else:
                yield _Line(number, text.removeprefix(_MARK) if number == 1 else text)
            offset += len(data)
    except _DAMAGED as error:
        yield truncated(f"after line {number}", error)


def _wide_lines(stream: IO[bytes], encoding: str) -> Iterator[_Line | Flaw]:
    number = 0
    try:
        with io.TextIOWrapper(stream, encoding, newline="\n") as text:
            for number, line in enumerate(text, 1):
                yield _Line(number, line.removeprefix(_MARK) if number == 1 else line)
    except UnicodeDecodeError as error:
        yield bad_bytes(error.object, error, f"after line {number}")


def _text_lines(lines: Iterable[_Line | Flaw]) -> Iterator[Candidate | Flaw]:
    for line in lines:
        if isinstance(line, Flaw):
            yield line
        else:
            # A lone CR ends a line too, though the file was not cut there.
            for text in newlines(line.text).removesuffix("\n").split("\n"):
                yield candidate(f"line {line.number}", text)


def _paragraphs(lines: Iterable[Candidate | Flaw]) -> Iterator[Candidate | Flaw]:
    """Joins lines up to the next blank one; a flaw in a line is a flaw of its paragraph."""
    gathered: list[Candidate] = []
    flaw: Flaw | None = None
    for line in chain(lines, [Candidate("", "", b"")]):
        if isinstance(line, Flaw):
            flaw = flaw or line
        elif line.text and not line.text.isspace():
            gathered.append(line)
        else:
            if flaw:
                yield flaw
            elif gathered:
                text = "\n".join(part.text for part in gathered)
                yield candidate(gathered[0].place, text)
            gathered, flaw = [], None


def _read_jsonl(lines: Iterable[_Line | Flaw], field: str) -> Iterator[Candidate | Flaw]:
    for line in lines:
        if isinstance(line, Flaw):
            yield line
        elif line.text and not line.text.isspace():
            yield _parse_json(_Line(line.number, line.text.rstrip("\r\n")), field)


def _parse_json(line: _Line, field: str) -> Candidate | Flaw:
    place = f"line {line.number}"
    try:
        record = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        message = str(error)
        if isinstance(error, json.JSONDecodeError):
            message = f"{error.msg} column {error.colno}"
        return Flaw(
            place,
            "bad_json",
            f"found no JSON value ({message}), expected one object a line",
            "mend the line",
            excerpt_of(line.text),
        )
    if not isinstance(record, dict):
        found = f"found a JSON {type(record).__name__}, expected an object"
        return Flaw(place, "bad_json", found, "mend the line", excerpt_of(line.text))
    text = record.get(field)
    if isinstance(text, str):
        return candidate(place, text)
    return no_text(place, field, record, excerpt_of(line.text))


def _read_parquet(path: Path, field: str) -> Iterator[Candidate | Flaw]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            _check_column(str(path), file.schema_arrow, field)
            first = 0
            for batch in file.iter_batches(_ROWS, columns=[field]):
                yield from _read_column(batch.column(0), field, first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpusError(
            f"{path} is not a sound Parquet file ({reason}); expected one that pyarrow reads; "
            "fetch it again, or take it out of corpus.sources."
        ) from error


def _read_dataset(source: SourceDataset, field: str) -> Iterator[Candidate | Flaw]:
    schema = source.data.features.arrow_schema
    _check_column(source.name, schema, field)
    data = source.data.select_columns([field]).with_format("arrow")
    first = 0
    for table in data.iter(batch_size=_ROWS):
        for column in table.column(0).chunks:
            yield from _read_column(column, field, first)
            first += len(column)


def _check_column(name: str, schema: pa.Schema, field: str) -> None:
    if field not in schema.names:
        raise CorpusError(
            f"{name} has no column {field!r}, only {name_some(schema.names)}; "
            "set corpus.text_field to the one that holds the text."
        )
    kind = schema.field(field).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    ):
        raise CorpusError(
            f"the column {field!r} of {name} is of type {kind}, expected strings; "
            "set corpus.text_field to the one that holds the text."
        )


def _read_column(column: pa.Array, field: str, first: int) -> Iterator[Candidate | Flaw]:
    """Candidates of one block of a table whose first row is number `first`, counted from 0."""
    for row, value in enumerate(_values(column), first):
        place = f"row {row}"
        if isinstance(value, str):
            yield candidate(place, value)
        elif value is None:
            yield no_text(place, field, {field: None}, "")
        else:
            yield bad_bytes(value.object, value, place)


def _values(column: pa.Array) -> Iterable[str | UnicodeDecodeError | None]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> str | UnicodeDecodeError | None:
    try:
        return scalar.as_py()  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        return error
