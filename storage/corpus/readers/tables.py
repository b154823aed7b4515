"""Parquet and Arrow files: one column of a table is the text; no row becomes a Python object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.corpus.blocks import Flaw, place_of
from storage.corpus.readers.fields import fields_of, pair_text
from storage.corpus.readers.flaws import name_some, no_text, wrong_schema
from storage.corpus.readers.gate import BLOCK_BYTES, BLOCK_ROWS, Gate, Item, Misfit
from storage.corpus.streams import DamageError

_BAD = (pa.ArrowException, OSError, ValueError, TypeError)


def read_parquet(file: Path | BinaryIO, gate: Gate, start: int, stop: int | None) -> Iterator[Item]:
    """A document a row, from row group `start` up to `stop`, or to the end.

    Raises:
        DamageError: no column of that name, or one that holds no text.
    """
    row = 0
    try:
        with pq.ParquetFile(file, memory_map=isinstance(file, Path)) as table:
            columns = _columns(gate, table.schema_arrow)
            groups = range(start, table.num_row_groups if stop is None else stop)
            row = sum(table.metadata.row_group(group).num_rows for group in range(start))
            for group in groups:
                rows = _rows_a_batch(table.metadata.row_group(group))
                for batch in table.iter_batches(rows, row_groups=[group], columns=columns):
                    yield from _admitted(gate, batch, row)
                    row += batch.num_rows
    except _BAD as error:
        _raise_if_io(error)
        yield _damaged("Parquet", row, error)


def read_arrow(file: Path | BinaryIO, gate: Gate, start: int, stop: int | None) -> Iterator[Item]:
    """A document a row of an Arrow IPC file or stream, from record batch `start` up to `stop`.

    Raises:
        DamageError: no column of that name, or one that holds no text.
    """
    row = 0
    try:
        source = pa.memory_map(str(file)) if isinstance(file, Path) else pa.PythonFile(file, "r")
        with source:
            for number, batch in enumerate(_record_batches(source, stop)):
                _columns(gate, batch.schema)
                if number >= start:
                    yield from _admitted(gate, batch, row)
                row += batch.num_rows
    except _BAD as error:
        _raise_if_io(error)
        yield _damaged("Arrow", row, error)


def parquet_cuts(path: Path, piece_bytes: int) -> list[int]:
    """Row groups at which to cut a file into parts of at least `piece_bytes` on disk."""
    try:
        with pq.ParquetFile(path) as table:
            sizes = [
                table.metadata.row_group(group).total_byte_size
                for group in range(table.num_row_groups)
            ]
    except _BAD:
        return []
    # Sizes are those before compression.
    scale = path.stat().st_size / max(1, sum(sizes))
    parts = np.cumsum(sizes) * scale // piece_bytes
    return [int(group) for group in np.flatnonzero(np.diff(parts)) + 1]


def arrow_cuts(path: Path, piece_bytes: int) -> list[int]:
    """Record batches at which to cut a file into parts of about `piece_bytes`."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as table:
            batches = table.num_record_batches
    except _BAD:
        return []
    parts = max(1, min(batches, path.stat().st_size // piece_bytes))
    return sorted({batches * part // parts for part in range(1, parts)})


def _record_batches(source: Any, stop: int | None) -> Iterator[pa.RecordBatch]:
    if source.read(6) == b"ARROW1":
        with pa.ipc.open_file(source) as table:
            for number in range(table.num_record_batches if stop is None else stop):
                yield table.get_batch(number)
        return
    source.seek(0)
    with pa.ipc.open_stream(source) as stream:
        yield from stream


def _rows_a_batch(group: Any) -> int:
    rows = group.num_rows * BLOCK_BYTES // max(1, group.total_byte_size)
    return int(min(max(rows, 1), BLOCK_ROWS))


def _checked(texts: pa.Array) -> pa.Array:
    """The array, whose buffers do not lead astray; whether its texts are UTF-8 is seen later."""
    indirect = pa.types.is_dictionary(texts.type) or pa.types.is_string_view(texts.type)
    texts.validate(full=indirect)
    return texts


def _admitted(gate: Gate, batch: pa.RecordBatch, first: int) -> Iterator[Item]:
    """The texts of a batch, of which `first` is the number of the first row."""
    file, numbers = gate.reading.file, np.arange(first, first + batch.num_rows)
    if not file.pair:
        yield from gate.admit(_checked(batch.column(file.text_field)), "row", numbers)
        return
    sides = [_side(batch, field) for field in file.pair]
    texts, kept, flaws = list[bytes](), list[int](), list[Misfit]()
    for number, *pair in zip(numbers.tolist(), *sides, strict=True):
        place = place_of("row", number)
        record = dict(zip(file.pair, pair, strict=True))
        missing = next((field for field, side in record.items() if side is None), None)
        text = no_text(place, missing, record) if missing else pair_text(pair, file, place)
        if isinstance(text, Flaw):
            flaws.append((number, text))
        else:
            kept.append(number)
            texts.append(text.encode("utf-8", "surrogateescape"))
    yield from gate.admit(pa.array(texts, pa.large_binary()), "row", np.array(kept, int), flaws)


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


def _columns(gate: Gate, schema: pa.Schema) -> list[str]:
    """The columns with the text, checked."""
    file = gate.reading.file
    for field in fields_of(file):
        outer, dot, inner = field.partition(".")
        nested = file.pair and dot and field not in schema.names and outer in schema.names
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
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(is_text(kind) for is_text in _TEXT):
        found = f"found the column {field!r} of type {kind}, expected strings"
        raise DamageError(wrong_schema(found))
    return field


_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def _raise_if_io(error: Exception) -> None:
    # pyarrow raises OSError for damage too, but without the system's number.
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _damaged(kind: str, row: int, error: Exception) -> Flaw:
    reason = str(error).partition("\n")[0]
    return Flaw(
        f"from row {row}" if row else "whole file",
        "damaged",
        f"found no sound {kind} data ({reason}), expected a file that pyarrow reads",
        "fetch it again, or take it out of corpus.sources",
        "",
    )
