"""Writes a split as a stream: two files grow, and one record batch of each is held in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.shards.schema import (
    BATCH_TOKENS,
    CHECKED_TOKENS,
    CHECKSUMS,
    DOCUMENTS,
    checksum,
    documents_path,
    token_dtype,
    tokens_path,
)
from corpusmill.storage.splits import Split

_BATCH_DOCUMENTS = 1 << 16


class ShardWriter:
    """Both files of one split, complete when the `with` block ends."""

    def __init__(self, directory: Path, split: Split, vocab_size: int) -> None:
        self._tokens = _TokenWriter(tokens_path(directory, split), token_dtype(vocab_size))
        self._documents = _DocumentWriter(documents_path(directory, split))

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._tokens.close()
        self._documents.close()

    @property
    def tokens(self) -> int:
        """Token ids written so far."""
        return self._tokens.total

    def append_ids(self, ids: np.ndarray) -> None:
        """Adds token ids, (tokens,), of any integer type."""
        self._tokens.append(ids)

    def append_documents(self, documents: pa.Table) -> None:
        """Adds rows of DOCUMENTS; `end` counts from the first token of the split."""
        self._documents.append(documents)


class _TokenWriter:
    """Fills one buffer of BATCH_TOKENS ids and writes it each time it is full."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._schema = pa.schema([pa.field("ids", pa.from_numpy_dtype(dtype), nullable=False)])
        self._file = pa.ipc.new_file(path, self._schema)
        self._buffer = np.empty(BATCH_TOKENS, dtype)
        self._used = 0
        self.total = 0

    def append(self, ids: np.ndarray) -> None:
        self.total += len(ids)
        while len(ids):
            part = ids[: BATCH_TOKENS - self._used]
            self._buffer[self._used : self._used + len(part)] = part
            self._used += len(part)
            ids = ids[len(part) :]
            if self._used == BATCH_TOKENS:
                self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if not self._used:
            return
        ids = self._buffer[: self._used]
        sums = [
            checksum(ids[start : start + CHECKED_TOKENS])
            for start in range(0, len(ids), CHECKED_TOKENS)
        ]
        batch = pa.record_batch([pa.array(ids, self._schema.field("ids").type)], self._schema)
        self._file.write_batch(batch, custom_metadata={CHECKSUMS: " ".join(sums)})
        self._used = 0


class _DocumentWriter:
    """Writes record batches of one size, whatever the sizes of what comes in."""

    def __init__(self, path: Path) -> None:
        self._file = pa.ipc.new_file(path, DOCUMENTS)
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def append(self, documents: pa.Table) -> None:
        self._waiting.append(documents)
        self._rows += len(documents)
        if self._rows >= _BATCH_DOCUMENTS:
            self._flush(self._rows // _BATCH_DOCUMENTS * _BATCH_DOCUMENTS)

    def close(self) -> None:
        if self._rows:
            self._flush(self._rows)
        self._file.close()

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting)
        for start in range(0, rows, _BATCH_DOCUMENTS):
            stop = min(start + _BATCH_DOCUMENTS, rows)
            # A slice would be written with what lies around it; what is taken stands by itself.
            piece = table.take(pa.array(range(start, stop), pa.int64()))
            self._file.write_batch(piece.combine_chunks().to_batches()[0])
        self._waiting = [table.slice(rows)]
        self._rows -= rows
