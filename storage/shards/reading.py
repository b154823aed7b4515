"""Reads a split through a memory map; what was damaged since it was written is never handed out."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.stride_tricks import as_strided

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.shards.schema import (
    CHECKED_TOKENS,
    CHECKSUMS,
    checksum,
    documents_path,
    tokens_path,
)
from corpusmill.storage.splits import Split


class TokenSource(Protocol):
    """Token ids as one flat sequence."""

    dtype: np.dtype[Any]

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Token ids at start ≤ position < stop."""

    def rows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """A copy of `length` token ids from each start on, zeros behind the end; (rows, length)."""


class ArrayStream:
    """Token ids that are in memory already."""

    def __init__(self, ids: np.ndarray) -> None:
        self.dtype = ids.dtype
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Token ids at start ≤ position < stop; a view."""
        return self._ids[start:stop]

    def rows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """A copy of `length` token ids from each start on, zeros behind the end; (rows, length)."""
        padded = np.concatenate([self._ids, np.zeros(length, self.dtype)])
        rows: np.ndarray = padded[starts[:, None] + np.arange(length)]
        return rows


class TokenStream:
    """All token ids of one split as one flat sequence, memory-mapped and never copied whole.

    Attributes:
        dtype: of the ids, uint16 or uint32.
    """

    def __init__(self, directory: Path, split: Split) -> None:
        """Raises ArtifactError: the file is not there or is not a token shard."""
        self._path = tokens_path(directory, split)
        try:
            file = pa.memory_map(str(self._path)).read_buffer()
            reader = pa.ipc.open_file(file)
            numbers = range(reader.num_record_batches)
            batches = [reader.get_batch_with_custom_metadata(i) for i in numbers]
            # By name, and below straight from the mapped buffers: `to_pandas_dtype` and `to_numpy`
            # would import pandas for a second.
            self.dtype: np.dtype[Any] = np.dtype(str(reader.schema.field("ids").type))
            self._sums = [each.custom_metadata[CHECKSUMS].decode().split() for each in batches]
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise _not_a_shard(self._path, error) from error
        # The whole file, of which the ids are parts: Arrow aligns them to 8 bytes.
        self._file = np.frombuffer(file, self.dtype, file.size // self.dtype.itemsize)
        self._ranges = _ranges(self._file, 1)
        addresses = [each.batch.column(0).buffers()[1].address for each in batches]
        self._places = (np.array(addresses, np.int64) - file.address) // self.dtype.itemsize
        self._sizes = np.array([each.batch.num_rows for each in batches], np.int64)
        self._batch_tokens = int(self._sizes[0]) if batches else 1
        self._size = int(self._sizes.sum())
        expected = np.minimum(
            self._size - np.arange(len(batches)) * self._batch_tokens, self._batch_tokens
        )
        checked = [-(-size // CHECKED_TOKENS) for size in self._sizes.tolist()]
        if (self._sizes != expected).any() or [len(each) for each in self._sums] != checked:
            raise _not_a_shard(self._path, f"record batches of {set(self._sizes.tolist())} tokens")
        self._verified = np.zeros((len(batches), max(checked, default=0)), np.bool_)
        self._unverified = sum(checked)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, stop: int) -> np.ndarray:
        """Token ids at start ≤ position < stop; a view where they lie in one record batch.

        Raises:
            ArtifactError: they changed since they were written.
        """
        assert 0 <= start <= stop <= self._size, (start, stop, self._size)
        if start == stop:
            return np.empty(0, self.dtype)
        number, first = divmod(start, self._batch_tokens)
        last = first + stop - start
        if last > self._batch_tokens:
            edge = (number + 1) * self._batch_tokens
            return np.concatenate([self.read(start, edge), self.read(edge, stop)])
        self._verify(number, first, last)
        place = int(self._places[number])
        return self._file[place + first : place + last]

    def rows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """A copy of `length` token ids from each start on, zeros behind the end of the stream.

        Args:
            starts: int64 (rows,).

        Returns:
            (rows, length).

        Raises:
            ArtifactError: they changed since they were written.
        """
        number, first = np.divmod(starts, self._batch_tokens)
        whole = first + length <= self._sizes[number]
        if not whole.all():
            result = np.zeros((len(starts), length), self.dtype)
            result[whole] = self.rows(starts[whole], length)
            for row in np.flatnonzero(~whole).tolist():
                tokens = self.read(int(starts[row]), min(int(starts[row]) + length, self._size))
                result[row, : len(tokens)] = tokens
            return result
        if self._unverified:
            self._verify_rows(number, first, first + length)
        if self._ranges.shape[1] != length:
            self._ranges = _ranges(self._file, length)
        # All rows in one call: a loop over them takes three times as long.
        gathered: np.ndarray = self._ranges[self._places[number] + first]
        return gathered

    def _verify_rows(self, number: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
        """The same as _verify for many ranges, most of which were verified before."""
        begin, end = first // CHECKED_TOKENS, (last - 1) // CHECKED_TOKENS
        known = self._verified[number, begin] & self._verified[number, end] & (end <= begin + 1)
        for row in np.flatnonzero(~known).tolist():
            self._verify(int(number[row]), int(first[row]), int(last[row]))

    def _verify(self, number: int, first: int, last: int) -> None:
        """Compares a range of a record batch with its checksums, unless that was done before."""
        place, size = int(self._places[number]), int(self._sizes[number])
        for piece in range(first // CHECKED_TOKENS, (last - 1) // CHECKED_TOKENS + 1):
            if self._verified[number, piece]:
                continue
            begin, end = piece * CHECKED_TOKENS, min((piece + 1) * CHECKED_TOKENS, size)
            found = checksum(self._file[place + begin : place + end])
            if found != self._sums[number][piece]:
                raise ArtifactError(
                    f"{self._path} is damaged in record batch {number} near its token {begin} "
                    f"(checksum {found}, expected {self._sums[number][piece]}); make the shards "
                    "again."
                )
            self._verified[number, piece] = True
            self._unverified -= 1


def read_document_ends(directory: Path, split: Split) -> np.ndarray:
    """The offset at which each document's tokens end; int64 (documents,), never decreasing.

    Raises:
        ArtifactError: the file is not there or does not list documents.
    """
    path = documents_path(directory, split)
    columns = _document_columns(path, "end")
    pieces = [np.frombuffer(c.buffers()[1], np.int64, len(c), 8 * c.offset) for c in columns]
    ends = np.concatenate([np.empty(0, np.int64), *pieces])
    if (np.diff(ends, prepend=0) < 0).any():
        raise _not_a_shard(path, "document ends that go backwards")
    return ends


def read_pairs(directory: Path, split: Split) -> np.ndarray:
    """Documents of one id that follow each other: the two texts of a pair.

    Returns:
        Where the first one begins, where the second begins, and where that ends; int64 (3, pairs).

    Raises:
        ArtifactError: the file is not there or does not list documents.
    """
    ends = np.concatenate([[0], read_document_ends(directory, split)])
    ids = pa.chunked_array(_document_columns(documents_path(directory, split), "id"), pa.string())
    same = pc.equal(ids.slice(0, max(0, len(ids) - 1)), ids.slice(1))
    first = np.flatnonzero(np.array(same.to_pylist(), bool))
    return np.stack([ends[first], ends[first + 1], ends[first + 2]])


def _document_columns(path: Path, name: str) -> list[pa.Array]:
    """One column of the documents, batch by batch."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        index = reader.schema.get_field_index(name)
        return [reader.get_batch(i).column(index) for i in range(reader.num_record_batches)]
    except (OSError, pa.ArrowInvalid, IndexError) as error:
        raise _not_a_shard(path, error) from error


def _ranges(ids: np.ndarray, length: int) -> np.ndarray:
    """Every range of `length` ids, as a view; (ids - length + 1, length)."""
    return as_strided(
        ids, (max(0, len(ids) - length + 1), length), (ids.itemsize, ids.itemsize), writeable=False
    )


def _not_a_shard(path: Path, found: object) -> ArtifactError:
    return ArtifactError(f"{path} is not an Arrow token shard ({found}); make the shards again.")
