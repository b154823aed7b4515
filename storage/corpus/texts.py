"""Documents by their number, out of Arrow arrays that may be memory-mapped."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa


class Texts:
    """The texts of a corpus, or of several one behind the other, without a copy of them.

    Args:
        arrays: in the order of the documents, such as `table["text"].chunks` of Arrow files.
    """

    def __init__(self, arrays: Sequence[pa.LargeStringArray]) -> None:
        self._arrays = arrays
        self._starts = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def byte_lengths(self, documents: np.ndarray) -> np.ndarray:
        """UTF-8 bytes of some documents; int64 (documents,)."""
        lengths = np.empty(len(documents), np.int64)
        for number, places, rows in self._split(documents):
            offsets = offsets_of(self._arrays[number])
            lengths[places] = offsets[rows + 1] - offsets[rows]
        return lengths

    def take(self, documents: np.ndarray) -> pa.LargeStringArray:
        """The texts of some documents, whose numbers must ascend."""
        parts = [
            self._arrays[number].take(pa.array(rows)) for number, _, rows in self._split(documents)
        ]
        return pa.concat_arrays([pa.array([], pa.large_string()), *parts])

    def _split(self, documents: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each array concerned: its number, places in `documents`, and rows of the array."""
        numbers = np.searchsorted(self._starts, documents, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        bounds = np.flatnonzero(np.diff(numbers[order])) + 1
        for places in np.split(order, bounds) if len(order) else ():
            number = int(numbers[places[0]])
            yield number, places, documents[places] - self._starts[number]


def buffers_of(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of texts and their offsets, both without a copy.

    Both are read-only, whatever made the array: for numba, writable ones are of another type, for
    which it would compile everything again.
    """
    data, offsets = bytes_of(texts).view(), offsets_of(texts).view()
    data.flags.writeable = offsets.flags.writeable = False
    return data, offsets


def offsets_of(texts: pa.LargeStringArray) -> np.ndarray:
    """Where each text begins and the last one ends in `bytes_of(texts)`; int64 (documents + 1,)."""
    buffer = texts.buffers()[1]
    if buffer is None:
        return np.zeros(1, np.int64)
    return np.frombuffer(buffer, np.int64, len(texts) + 1, 8 * texts.offset)


def bytes_of(texts: pa.LargeStringArray) -> np.ndarray:
    """The UTF-8 bytes that all texts lie in, uint8, without a copy."""
    buffer = texts.buffers()[2]
    return np.empty(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)
