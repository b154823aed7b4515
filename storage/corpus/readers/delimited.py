"""CSV and TSV (RFC 4180): the first record names the columns, one of which is the text."""

import csv
from collections.abc import Iterator

from storage.corpus.blocks import Flaw, excerpt_of
from storage.corpus.readers.fields import fields_of, pair_text
from storage.corpus.readers.flaws import name_some, too_long, wrong_schema
from storage.corpus.readers.gate import Batch, Gate, Item
from storage.corpus.readers.lines import LINE_EXTRA, whole_lines
from storage.corpus.streams import DamageError


def read_delimited(chunks: Iterator[bytes], gate: Gate, delimiter: str) -> Iterator[Item]:
    """A document a record, numbered by the line it begins in; blank lines are no records.

    A record that breaks the rules costs itself only: reading goes on with the next line.

    Raises:
        DamageError: no column of that name.
    """
    batch = Batch(gate, "line")
    # The limit is the process's own; no reader needs a smaller one.
    csv.field_size_limit(max(csv.field_size_limit(), gate.limit + 1))
    lines = _Lines(chunks, gate.limit + LINE_EXTRA, batch)
    yield from batch.fill(_texts(_records(lines, delimiter), gate))


def _texts(
    records: Iterator[tuple[int, list[str] | Flaw]], gate: Gate
) -> Iterator[tuple[int, bytes | Flaw]]:
    file = gate.reading.file
    header: list[str] = []
    columns: list[int] = []
    for line, record in records:
        if isinstance(record, Flaw):
            yield line, record
        elif not header:
            header = record
            columns = [_column(field, record) for field in fields_of(file)]
        elif len(record) != len(header):
            yield line, _ragged(record, len(header), line)
        else:
            sides = [record[column] for column in columns]
            text = pair_text(sides, file, f"line {line}") if file.pair else sides[0]
            if isinstance(text, Flaw):
                yield line, text
            else:
                yield line, text.encode("utf-8", "surrogateescape")


class _Lines:
    """The lines of a text one by one, each with its newline; those that are too long are flaws."""

    def __init__(self, chunks: Iterator[bytes], limit: int, batch: Batch) -> None:
        self.number = 0
        self._lines = self._cut(chunks, limit, batch)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def _cut(self, chunks: Iterator[bytes], limit: int, batch: Batch) -> Iterator[str]:
        for item in whole_lines(chunks, "line", limit):
            if isinstance(item, Flaw):
                self.number += 1
                batch.add(item, self.number)
                continue
            for line in item.text.split(b"\n"):
                self.number += 1
                yield line.decode("utf-8", "surrogateescape") + "\n"


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | Flaw]]:
    """Each record, or why it is none, with the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    record: list[str] | None = []
    while record is not None:
        line = lines.number + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            yield line, _broken(line, error)
            continue
        if record:
            yield line, record


def _column(field: str, header: list[str]) -> int:
    if header.count(field) == 1:
        return header.index(field)
    found = f"several columns {field!r}" if field in header else f"no column {field!r}"
    finding = f"found {found} in its first line, only {name_some(header)}; expected one"
    raise DamageError(wrong_schema(finding))


def _ragged(record: list[str], columns: int, line: int) -> Flaw:
    return Flaw(
        f"line {line}",
        "bad_record",
        f"found {len(record)} fields, expected {columns}, as the first line names",
        "put fields that hold the delimiter in quotes",
        excerpt_of(" | ".join(record)),
    )


def _broken(line: int, error: csv.Error) -> Flaw:
    place = f"line {line}"
    if "field limit" in str(error):
        return too_long(place, csv.field_size_limit() + 1, csv.field_size_limit())
    finding = f"found no sound record ({error}), expected quotes within quotes doubled"
    return Flaw(place, "bad_record", finding, "mend its quotes", "")
