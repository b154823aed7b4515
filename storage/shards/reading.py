"""Reads a split through a memory map; what was damaged since it was written is never handed out."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import ArtifactError
from storage.shards.schema import (
    CHECKED_TOKENS,
    CHECKSUMS,
    Split,
    checksum,
    documents_path,
    tokens_path,
)


class TokenStream:
    """All token ids of one split as one flat sequence, memory-mapped and never copied whole.

    Attributes:
        dtype: of the ids, uint16 or uint32.
    """

    def __init__(self, directory: Path, split: Split) -> None:
        """Raises ArtifactError: the file is not there or is not a token shard."""
        self._path = tokens_path(directory, split)
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(self._path)))
            numbers = range(reader.num_record_batches)
            batches = [reader.get_batch_with_custom_metadata(i) for i in numbers]
            kind = reader.schema.field("ids").type
            sums = [batch.custom_metadata[CHECKSUMS].decode().split() for batch in batches]
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise _not_a_shard(self._path, error) from error
        # By name, and straight from the mapped buffers: `to_pandas_dtype` and `to_numpy` would
        # import pandas for a second.
        self.dtype: np.dtype[Any] = np.dtype(str(kind))
        self._parts = [
            np.frombuffer(each.batch.column(0).buffers()[1], self.dtype, each.batch.num_rows)
            for each in batches
        ]
        sizes = [len(part) for part in self._parts]
        self._batch_tokens = sizes[0] if sizes else 1
        self._size = sum(sizes)
        if self._size > self._batch_tokens * len(sizes) or set(sizes[:-1]) - {self._batch_tokens}:
            raise _not_a_shard(self._path, f"record batches of {sorted(set(sizes))} tokens")
        self._sums = sums
        self._verified = [bytearray(len(each)) for each in sums]

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, stop: int) -> np.ndarray:
        """Token ids at start ≤ position < stop; a view where they lie in one record batch.

        Raises:
            ArtifactError: they changed since they were written.
        """
        assert 0 <= start <= stop <= self._size, (start, stop, self._size)
        number, first = divmod(start, self._batch_tokens)
        last = first + stop - start
        if last <= self._batch_tokens:
            return self._within(number, first, last) if start < stop else np.empty(0, self.dtype)
        edge = (number + 1) * self._batch_tokens
        return np.concatenate([self.read(start, edge), self.read(edge, stop)])

    def _within(self, number: int, first: int, last: int) -> np.ndarray:
        """A range of one record batch, verified if it is touched for the first time."""
        part, verified = self._parts[number], self._verified[number]
        for piece in range(first // CHECKED_TOKENS, (last - 1) // CHECKED_TOKENS + 1):
            if not verified[piece]:
                begin = piece * CHECKED_TOKENS
                found = checksum(part[begin : begin + CHECKED_TOKENS])
                if found != self._sums[number][piece]:
                    raise ArtifactError(
                        f"{self._path} is damaged in record batch {number} near its token "
                        f"{begin} (checksum {found}, expected {self._sums[number][piece]}); "
                        "make the shards again."
                    )
                verified[piece] = 1
        return part[first:last]


def read_document_ends(directory: Path, split: Split) -> np.ndarray:
    """The offset at which each document's tokens end; int64 (documents,), never decreasing.

    Raises:
        ArtifactError: the file is not there or does not list documents.
    """
    path = documents_path(directory, split)
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        columns = [
            reader.get_batch(i).column(reader.schema.get_field_index("end"))
            for i in range(reader.num_record_batches)
        ]
    except (OSError, pa.ArrowInvalid, IndexError) as error:
        raise _not_a_shard(path, error) from error
    pieces = [np.frombuffer(c.buffers()[1], np.int64, len(c), 8 * c.offset) for c in columns]
    ends = np.concatenate([np.empty(0, np.int64), *pieces])
    if (np.diff(ends, prepend=0) < 0).any():
        raise _not_a_shard(path, "document ends that go backwards")
    return ends


def _not_a_shard(path: Path, found: object) -> ArtifactError:
    return ArtifactError(f"{path} is not an Arrow token shard ({found}); make the shards again.")
