"""Parquet and Arrow files: one column of a table is the text; no row becomes a Python object."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, place_of, size_of
from corpusmill.tasks.ingestion.fragments import Columns
from corpusmill.tasks.ingestion.readers.fields import fields_of, record_text, text_of_sides
from corpusmill.tasks.ingestion.readers.flaws import name_some, no_text, wrong_schema
from corpusmill.tasks.ingestion.readers.sanitizer import (
    BATCH_BYTES,
    BATCH_ROWS,
    Item,
    NumberedFlaw,
    Sanitizer,
)
from corpusmill.tasks.ingestion.readers.table_ends import (
    BAD,
    arrow_gap,
    check_single,
    parquet_gap,
    raise_if_io,
    size_of_file,
)
from corpusmill.tasks.ingestion.streams import DamageError


def read_parquet(
    file: Path | BinaryIO, sanitizer: Sanitizer, start: int, stop: int | None
) -> Iterator[Item]:
    """One document per row, from row group `start` up to `stop`, or to the end.

    A damaged row group is lost alone.

    Raises:
        DamageError: no Parquet file, or several in one; no column of that name, or one that holds
            no text.
    """
    try:
        table = pq.ParquetFile(
            file, memory_map=isinstance(file, Path), page_checksum_verification=True
        )
    except BAD as error:
        raise_if_io(error)
        raise DamageError(_damaged("Parquet", WHOLE_FILE, error)) from error
    with table:
        groups = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
        with _counting(group.num_rows for group in groups[start:stop]):
            columns = _columns(sanitizer, table.schema_arrow)
        if start == 0:
            check_single(file, b"PAR1PAR1", parquet_gap(file, table, columns))
        row = sum(group.num_rows for group in groups[:start])
        lost = table.metadata.num_rows - sum(group.num_rows for group in groups)
        if stop is None and lost > 0:
            yield _fewer(f"after row group {len(groups) - 1}", lost)
        for number, group in enumerate(groups[start:stop], start):
            end = row + group.num_rows
            try:
                for batch in table.iter_batches(
                    _rows_a_batch(group), row_groups=[number], columns=columns
                ):
                    yield from _admitted(sanitizer, batch, row)
                    row += batch.num_rows
            except BAD as error:
                raise_if_io(error)
                size = _disk_bytes(group, groups, file) * (end - row) // max(1, group.num_rows)
                flaw = _damaged("Parquet", f"from row {row}", error)
                yield replace(flaw, bytes=size, documents=end - row)
            else:
                if row < end:
                    yield _fewer(f"from row {row}", end - row)
            row = end


def read_arrow(
    file: Path | BinaryIO, sanitizer: Sanitizer, start: int, stop: int | None
) -> Iterator[Item]:
    """One document per row of an Arrow IPC file or stream, from record batch `start` up to `stop`.

    Streams may follow each other.

    Raises:
        DamageError: several files in one; no column of that name, or one that holds no text.
    """
    row, rest = 0, 1.0
    try:
        if start == 0:
            check_single(file, b"ARROW1ARROW1", arrow_gap(file))
        source = pa.memory_map(str(file)) if isinstance(file, Path) else pa.PythonFile(file, "r")
        with source:
            batches = _record_batches(source, start, stop)
            for batch, is_wanted, after in batches:
                wanted = chain([(batch, is_wanted, after)], batches)
                with _counting(each.num_rows for each, is_its, _ in wanted if is_its):
                    _columns(sanitizer, batch.schema)
                if is_wanted:
                    yield from _admitted(sanitizer, batch, row)
                row, rest = row + batch.num_rows, after
    except BAD as error:
        raise_if_io(error)
        flaw = _damaged("Arrow", f"from row {row}" if row else WHOLE_FILE, error)
        yield replace(flaw, bytes=int(rest * sanitizer.reading.fragment.bytes))


def table_batches(path: Path, kind: str) -> Iterator[pa.RecordBatch]:
    """All columns of a Parquet or Arrow file (or stream), some rows at a time.

    Raises:
        pa.ArrowException, OSError: it is damaged, or no such file.
    """
    if kind == "parquet":
        with pq.ParquetFile(path) as table:
            yield from table.iter_batches()
        return
    with pa.memory_map(str(path)) as source:
        for batch, _, _ in _record_batches(source, 0, None):
            yield batch


@contextmanager
def _counting(rows: Iterable[int]) -> Iterator[None]:
    """Gives a DamageError from within its number of documents: the sum of `rows`."""
    try:
        yield
    except DamageError as error:
        raise DamageError(replace(error.flaw, documents=max(1, sum(rows)))) from error


def parquet_cuts(path: Path, fragment_bytes: int) -> list[int]:
    """Row groups at which to cut a file into fragments of about `fragment_bytes` on disk."""
    try:
        with pq.ParquetFile(path) as table:
            sizes = [
                table.metadata.row_group(group).total_byte_size
                for group in range(table.num_row_groups)
            ]
    except BAD:
        return []
    # The metadata have sizes before compression.
    scale = path.stat().st_size / max(1, sum(sizes))
    parts = np.cumsum(sizes) * scale // fragment_bytes
    return [int(group) for group in np.flatnonzero(np.diff(parts)) + 1]


def arrow_cuts(path: Path, fragment_bytes: int) -> list[int]:
    """Record batches at which to cut a file into fragments of about `fragment_bytes`."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as table:
            batches = table.num_record_batches
    except BAD:
        return []
    parts = max(1, min(batches, path.stat().st_size // fragment_bytes))
    return sorted({batches * part // parts for part in range(1, parts)})


def _record_batches(
    source: Any, start: int, stop: int | None
) -> Iterator[tuple[pa.RecordBatch, bool, float]]:
    """Each record batch, whether it is in range, and the share of the range that comes after it.

    Those before `start` are yielded too, since their rows count.
    """
    if source.read(6) == b"ARROW1":
        with pa.ipc.open_file(source) as table:
            stop = table.num_record_batches if stop is None else stop
            for number in range(stop):
                left = (stop - 1 - max(number, start - 1)) / max(1, stop - start)
                yield table.get_batch(number), number >= start, left
        return
    size, position = source.size(), 0
    while position < size:
        source.seek(position)
        with pa.ipc.open_stream(source) as stream:
            for batch in stream:
                yield batch, True, 1 - source.tell() / size
        position = source.tell()


def _disk_bytes(group: Any, groups: list[Any], file: Path | BinaryIO) -> int:
    """Approximate bytes of a row group on disk, from its share of the bytes before compression."""
    total = sum(max(0, each.total_byte_size) for each in groups)
    return int(size_of_file(file) * max(0, group.total_byte_size) // max(1, total))


def _rows_a_batch(group: Any) -> int:
    rows = group.num_rows * BATCH_BYTES // max(1, group.total_byte_size)
    return int(min(max(rows, 1), BATCH_ROWS))


def _checked(texts: pa.Array) -> pa.Array:
    """The array, its buffers validated; whether its texts are UTF-8 is checked later."""
    indirect = pa.types.is_dictionary(texts.type) or pa.types.is_string_view(texts.type)
    texts.validate(full=indirect)
    return texts


def _admitted(sanitizer: Sanitizer, batch: pa.RecordBatch, first: int) -> Iterator[Item]:
    """The texts of a batch, of which `first` is the number of the first row."""
    file, numbers = sanitizer.reading.file, np.arange(first, first + batch.num_rows)
    if file.columns:
        texts = _records(batch, file.columns, _columns(sanitizer, batch.schema))
        yield from sanitizer.admit(pa.array(texts, pa.large_binary()), "row", numbers)
        return
    fields = fields_of(file)
    if len(fields) == 1:
        yield from sanitizer.admit(_checked(batch.column(fields[0])), "row", numbers)
        return
    sides = [_side(batch, field) for field in fields]
    texts, kept, flaws = list[bytes](), list[int](), list[NumberedFlaw]()
    for number, *pair in zip(numbers.tolist(), *sides, strict=True):
        place = place_of("row", number)
        record = dict(zip(fields, pair, strict=True))
        missing = next((field for field, side in record.items() if side is None), None)
        if missing and file.pair:
            size = sum(size_of(side) for side in pair if side)
            text: str | Flaw = no_text(place, missing, record, "", size)
        else:
            text = text_of_sides(pair, file, place)
        if isinstance(text, Flaw):
            flaws.append((number, text))
        else:
            kept.append(number)
            texts.append(text.encode("utf-8", "surrogateescape"))
    yield from sanitizer.admit(
        pa.array(texts, pa.large_binary()), "row", np.array(kept, int), flaws
    )


def _records(batch: pa.RecordBatch, columns: Columns, names: Sequence[str]) -> list[bytes]:
    """The rows themselves, of these columns of the table, as documents."""
    values = [
        _side(batch, name) if _is_text(batch.schema.field(name).type) else batch[name].to_pylist()
        for name in names
    ]
    rows = (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
    return [record_text(row, columns).encode("utf-8", "surrogateescape") for row in rows]


def _side(batch: pa.RecordBatch, field: str) -> list[str | None]:
    """One side of pairs; None where there is none."""
    if field in batch.schema.names:
        column = batch.column(field)
    else:
        outer, _, inner = field.partition(".")
        # `flatten` hides what lies under a missing struct, `field` does not.
        structs = batch.column(outer)
        names = [structs.type.field(i).name for i in range(structs.type.num_fields)]
        column = structs.flatten()[names.index(inner)]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    sides: list[bytes | None] = _checked(column).cast(pa.large_binary()).to_pylist()
    return [None if side is None else side.decode("utf-8", "surrogateescape") for side in sides]


def _columns(sanitizer: Sanitizer, schema: pa.Schema) -> list[str]:
    """The columns with the text, checked."""
    file = sanitizer.reading.file
    if file.columns:
        outer_names = {name.partition(".")[0] for name in file.columns.names}
        wanted = [
            name for name in schema.names if name in file.columns.names or name in outer_names
        ]
        if several := [name for name in wanted if schema.names.count(name) > 1]:
            found = f"found several columns {several[0]!r}, expected one"
            raise DamageError(wrong_schema(found))
        return wanted or list(dict.fromkeys(schema.names))
    for field in fields_of(file):
        outer, dot, inner = field.partition(".")
        is_inner = dot and field not in schema.names and outer in schema.names
        nested = is_inner and len(fields_of(file)) > 1
        if nested and pa.types.is_struct(schema.field(outer).type):
            _column(inner, pa.schema(list(schema.field(outer).type)))
        else:
            _column(field, schema)
    return list(fields_of(file))


def _column(field: str, schema: pa.Schema) -> str:
    if field not in schema.names:
        found = f"found no column {field!r}, only {name_some(schema.names)}; expected one"
        raise DamageError(wrong_schema(found))
    if schema.names.count(field) > 1:
        raise DamageError(wrong_schema(f"found several columns {field!r}, expected one"))
    kind = schema.field(field).type
    if not _is_text(kind):
        found = f"found the column {field!r} of type {kind}, expected strings"
        raise DamageError(wrong_schema(found))
    return field


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(is_one(kind) for is_one in _TEXT)


_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def _fewer(place: str, rows: int) -> Flaw:
    """The flaw of rows that the footer promises and pyarrow does not give.

    A footer has no checksum, and pyarrow reads a column that it does not describe as empty.
    """
    error = pa.ArrowInvalid(f"{rows} rows fewer than the footer says")
    return replace(_damaged("Parquet", place, error), bytes=None, documents=rows)


def _damaged(kind: str, place: str, error: Exception) -> Flaw:
    reason = str(error).partition("\n")[0]
    return Flaw(
        place,
        "damaged",
        f"found no sound {kind} data ({reason}), expected a file that pyarrow reads",
        "fetch it again, or take it out of corpus.sources",
        "",
    )
