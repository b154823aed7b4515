"""Arrow token shards: flat token ids in record batches of one size, read through a memory map.

`<split>.tokens.arrow` holds one column `ids` of uint16 (uint32 for vocabularies above 65,536) in
record batches of exactly 2^24 tokens but the last, so that finding a token is one division.
`<split>.documents.arrow` holds each document's id and the offset at which its tokens end.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from storage.errors import ArtifactError

Split = Literal["train", "validation"]
BATCH_TOKENS = 1 << 24


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds every id below `vocab_size`."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)


def write_shards(
    directory: Path,
    split: Split,
    vocab_size: int,
    documents: Iterable[tuple[str, np.ndarray]],
) -> dict[str, int]:
    """Writes the tokens of `documents`, each (document id, token ids), as a stream.

    Returns:
        {"documents": …, "tokens": …}
    """
    dtype = token_dtype(vocab_size)
    names: list[str] = []
    ends: list[int] = []
    total = 0
    with _TokenWriter(directory / f"{split}.tokens.arrow", dtype) as writer:
        for name, ids in documents:
            writer.append(ids)
            total += len(ids)
            names.append(name)
            ends.append(total)
    table = pa.table({"id": pa.array(names, pa.string()), "end": pa.array(ends, pa.int64())})
    with pa.ipc.new_file(directory / f"{split}.documents.arrow", table.schema) as file:
        file.write_table(table)
    return {"documents": len(names), "tokens": total}


class _TokenWriter:
    """Fills one buffer of BATCH_TOKENS ids and writes it each time it is full."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._schema = pa.schema([pa.field("ids", pa.from_numpy_dtype(dtype), nullable=False)])
        self._file = pa.ipc.new_file(path, self._schema)
        self._buffer = np.empty(BATCH_TOKENS, dtype)
        self._used = 0

    def __enter__(self) -> "_TokenWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def append(self, ids: np.ndarray) -> None:
        while len(ids):
            room = BATCH_TOKENS - self._used
            part = ids[:room]
            self._buffer[self._used : self._used + len(part)] = part
            self._used += len(part)
            ids = ids[room:]
            if self._used == BATCH_TOKENS:
                self._flush()

    def _flush(self) -> None:
        if not self._used:
            return
        column = pa.array(self._buffer[: self._used], type=self._schema.field("ids").type)
        self._file.write_batch(pa.record_batch([column], schema=self._schema))
        self._used = 0


class TokenStream:
    """All token ids of one split as one flat sequence, memory-mapped and never copied whole."""

    def __init__(self, directory: Path, split: Split) -> None:
        """Raises ArtifactError: the file is not there or is not a token shard."""
        path = directory / f"{split}.tokens.arrow"
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            ids = reader.schema.field("ids")
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise ArtifactError(
                f"{path} is not an Arrow token shard ({error}); make the shards again."
            ) from error
        self.dtype = np.dtype(ids.type.to_pandas_dtype())
        # Straight from the mapped buffers: `to_numpy` would import pandas for a second.
        self._parts = [
            np.frombuffer(batch.column(0).buffers()[1], self.dtype, batch.num_rows)
            for batch in batches
        ]
        self._size = sum(len(part) for part in self._parts)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, stop: int) -> np.ndarray:
        """Token ids at start ≤ position < stop; a view where they lie in one record batch."""
        assert 0 <= start <= stop <= self._size, (start, stop, self._size)
        if start == stop:
            return np.empty(0, self.dtype)
        first, last = start // BATCH_TOKENS, (stop - 1) // BATCH_TOKENS
        pieces = [
            self._parts[i][
                max(start - i * BATCH_TOKENS, 0) : min(stop - i * BATCH_TOKENS, BATCH_TOKENS)
            ]
            for i in range(first, last + 1)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
