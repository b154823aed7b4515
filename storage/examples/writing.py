"""Writes the examples of one side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.examples.schema import Side, TaskKind, examples_path, schema_of

_BATCH_BYTES = 64 << 20
_BATCH_ROWS = 1 << 14


def write_examples(directory: Path, side: Side, examples: Examples, kind: TaskKind) -> None:
    """Writes examples in their order; the same ones give the same bytes."""
    schema = schema_of(kind)
    pairs: Sequence[str | None] = examples.pairs or [None] * len(examples)
    with pa.ipc.new_file(str(examples_path(directory, side)), schema) as file:
        for rows in _batches(examples):
            columns = examples.ids, examples.texts, pairs, examples.labels, examples.places
            arrays = [
                pa.array(column[rows], field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            file.write_batch(pa.record_batch(arrays, schema))


def _batches(examples: Examples) -> Iterator[slice]:
    """Rows of a bounded number of bytes: offsets of strings are of 32 bits."""
    start = size = 0
    for row, text in enumerate(examples.texts):
        size += len(text.encode()) + (len(examples.pairs[row].encode()) if examples.pairs else 0)
        if size >= _BATCH_BYTES or row + 1 - start >= _BATCH_ROWS:
            yield slice(start, row + 1)
            start, size = row + 1, 0
    if start < len(examples):
        yield slice(start, len(examples))
