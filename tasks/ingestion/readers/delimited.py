"""CSV and TSV: the first record names the columns, unless those asked for are numbers.

In .csv fields may stand in quotation marks (RFC 4180), in .tsv a quotation mark is a character like
any other (text/tab-separated-values of IANA); `quoted` of a source says otherwise.
"""

import csv
from collections.abc import Iterator, Sequence

from corpusmill.tasks.ingestion.batches import Flaw, excerpt_of, size_of
from corpusmill.tasks.ingestion.fragments import Columns
from corpusmill.tasks.ingestion.readers.fields import fields_of, record_text, text_of_sides
from corpusmill.tasks.ingestion.readers.flaws import name_some, too_long, wrong_schema
from corpusmill.tasks.ingestion.readers.lines import LINE_EXTRA, whole_lines
from corpusmill.tasks.ingestion.readers.sanitizer import BatchBuilder, Item, Sanitizer
from corpusmill.tasks.ingestion.streams import DamageError

Record = tuple[int, list[str] | Flaw]
# A record of more lines than this, each with the delimiters of a record, is worth a look.
_FEW_LINES = 4


def read_delimited(chunks: Iterator[bytes], sanitizer: Sanitizer, delimiter: str) -> Iterator[Item]:
    """One document per record, numbered by the line it begins in; blank lines are no records.

    A malformed line is lost alone: after a quotation mark that is not closed, reading goes on with
    the next line.

    Raises:
        DamageError: no column of that name or number.
    """
    batch = BatchBuilder(sanitizer, "line")
    lines = _Lines(chunks, sanitizer.limit + LINE_EXTRA, batch)
    quoted = sanitizer.reading.file.quoted
    if delimiter == "," if quoted is None else quoted:
        # The limit is the process's own; no reader needs a smaller one.
        csv.field_size_limit(max(csv.field_size_limit(), sanitizer.limit + 1))
        records = _quoted_records(lines, delimiter, sanitizer)
    else:
        records = _plain_records(lines, delimiter)
    columns = sanitizer.reading.file.columns
    if columns:
        yield from batch.fill(_whole(records, columns, delimiter))
    else:
        yield from batch.fill(_texts(records, sanitizer, delimiter))


def _texts(
    records: Iterator[Record], sanitizer: Sanitizer, delimiter: str
) -> Iterator[tuple[int, bytes | Flaw]]:
    file = sanitizer.reading.file
    width = 0
    columns: list[int] = []
    for line, record in records:
        if isinstance(record, Flaw):
            yield line, record
            continue
        if not width:
            width = len(record)
            columns, is_header = _columns(fields_of(file), record, records)
            if is_header:
                continue
        if len(record) != width:
            yield line, _ragged(record, width, line, delimiter)
            continue
        sides = [record[column] for column in columns]
        text = text_of_sides(sides, file, f"line {line}") if len(sides) > 1 else sides[0]
        if isinstance(text, Flaw):
            yield line, text
        else:
            yield line, text.encode("utf-8", "surrogateescape")


def _whole(
    records: Iterator[Record], columns: Columns, delimiter: str
) -> Iterator[tuple[int, bytes | Flaw]]:
    """The records themselves, with the columns that are wanted."""
    width = 0
    places: dict[str, int] = {}
    for line, record in records:
        if isinstance(record, Flaw):
            yield line, record
            continue
        if not width:
            width = len(record)
            places, is_header = _places(columns, record, records)
            if is_header:
                continue
        if len(record) != width:
            yield line, _ragged(record, width, line, delimiter)
            continue
        text = record_text({name: record[place] for name, place in places.items()}, columns)
        yield line, text.encode("utf-8", "surrogateescape")


def _places(
    columns: Columns, first: Sequence[str], others: Iterator[Record]
) -> tuple[dict[str, int], bool]:
    """The index of each column that is wanted and there, and whether the first record names it."""
    numbers = {str(index): index for index in range(len(first))}
    is_header = columns.header
    if is_header is None:
        numbered = bool(columns.names) and all(map(_is_number, columns.names))
        is_header = not numbered or all(name in first for name in columns.names)
    if not is_header:
        return numbers, False
    named = {name: index for index, name in enumerate(first)}
    if several := [name for name in columns.names if first.count(name) > 1]:
        finding = f"found several columns {several[0]!r} in its first line, expected one"
        raise DamageError(wrong_schema(finding, documents=max(1, _count(others))))
    return (numbers | named if columns.names else named), True


class _Lines:
    """The lines of a text one by one, each with its newline; those that are too long are flaws.

    Attributes:
        taken: the lines given since the list was last emptied, with their numbers.
    """

    def __init__(self, chunks: Iterator[bytes], limit: int, batch: BatchBuilder) -> None:
        self.taken: list[tuple[int, str]] = []
        self._again: list[tuple[int, str]] = []
        self._lines = self._cut(chunks, limit, batch)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        numbered = self._again.pop() if self._again else next(self._lines)
        self.taken.append(numbered)
        return numbered[1]

    def put_back(self) -> None:
        """Makes the last line the next one again."""
        self._again.append(self.taken.pop())

    def _cut(
        self, chunks: Iterator[bytes], limit: int, batch: BatchBuilder
    ) -> Iterator[tuple[int, str]]:
        number = 0
        for item in whole_lines(chunks, "line", limit):
            if isinstance(item, Flaw):
                number += 1
                batch.add(item, number)
                continue
            for line in item.text.split(b"\n"):
                number += 1
                yield number, line.decode("utf-8", "surrogateescape") + "\n"


def _plain_records(lines: _Lines, delimiter: str) -> Iterator[Record]:
    for line in lines:
        number, _ = lines.taken.pop()
        if line != "\n":
            yield number, line[:-1].split(delimiter)


def _quoted_records(lines: _Lines, delimiter: str, sanitizer: Sanitizer) -> Iterator[Record]:
    """Each record, or why it is none, with the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    record: list[str] | None = []
    while record is not None:
        lines.taken.clear()
        try:
            record = next(reader, None)
        except csv.Error as error:
            yield from _resumed(lines, delimiter, error)
            continue
        if record:
            if len(lines.taken) > _FEW_LINES and _look_like_records(lines, delimiter, len(record)):
                sanitizer.count("records_within_quotes", len(lines.taken) - 2)
            yield lines.taken[0][0], record


def _resumed(lines: _Lines, delimiter: str, error: csv.Error) -> Iterator[Record]:
    """The flaw of a line, and the lines that its open quotation mark took in, each by itself.

    The last of them, whose quotation mark closed it, may begin a record of several lines, and is
    read again.
    """
    swallowed = len(lines.taken) - 1
    if swallowed:
        lines.put_back()
    (number, first), *others = lines.taken
    yield number, _broken(number, error, first, swallowed)
    for place, line in others:
        try:
            record = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error as again:
            yield place, _broken(place, again, line, 0)
            continue
        if record:
            yield place, record


def _look_like_records(lines: _Lines, delimiter: str, width: int) -> bool:
    """Whether a quotation mark too many may have made one field of whole records."""
    return width > 1 and all(line.count(delimiter) == width - 1 for _, line in lines.taken[1:-1])


def _columns(
    fields: Sequence[str], first: Sequence[str], others: Iterator[Record]
) -> tuple[list[int], bool]:
    """The index of each field in a record, and whether the first record is a header."""
    numbered = all(map(_is_number, fields))
    if not numbered or any(field in first for field in fields):
        return [_column(field, first, others) for field in fields], True
    numbers = [int(field) for field in fields]
    if missing := [number for number in numbers if not 1 <= number <= len(first)]:
        finding = f"found {len(first)} columns in its first line, expected a column {missing[0]}"
        raise DamageError(wrong_schema(finding, documents=1 + _count(others)))
    return [number - 1 for number in numbers], False


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdecimal()


def _count(records: Iterator[Record]) -> int:
    """How many records there are, as far as they can be read."""
    count = 0
    try:
        for _, record in records:
            count += not isinstance(record, Flaw)
    except DamageError:
        pass
    return count


def _column(field: str, header: Sequence[str], others: Iterator[Record]) -> int:
    if header.count(field) == 1:
        return header.index(field)
    found = f"several columns {field!r}" if field in header else f"no column {field!r}"
    finding = f"found {found} in its first line, only {name_some(header)}; expected one"
    remedy = ", or to its number, such as '1', where the first line is no header"
    raise DamageError(wrong_schema(finding, remedy, max(1, _count(others))))


def _ragged(record: list[str], columns: int, line: int, delimiter: str) -> Flaw:
    remedy = "put fields that hold the delimiter in quotes"
    if delimiter == "\t":
        remedy = "take tabs out of the fields, or set quoted=true where fields stand in quotes"
    return Flaw(
        f"line {line}",
        "bad_record",
        f"found {len(record)} fields, expected {columns}, as in the first line",
        remedy,
        excerpt_of(" | ".join(record)),
        size_of(delimiter.join(record)),
    )


def _broken(line: int, error: csv.Error, text: str, swallowed: int) -> Flaw:
    place = f"line {line}"
    if "field limit" in str(error) and not swallowed:
        return too_long(place, size_of(text), csv.field_size_limit(), excerpt_of(text))
    said = str(error)
    if swallowed:
        said = f"a quotation mark that is not closed within {swallowed} lines"
    finding = f"found no sound record ({said}), expected quotes within quotes doubled"
    remedy = "mend its quotes, or set quoted=false where quotation marks are part of the text"
    return Flaw(place, "bad_record", finding, remedy, excerpt_of(text), size_of(text))
