"""The order of data and the batches made of it: pure functions of (seed, epoch, sample).

There is no shuffle buffer and no loader state: sample g of a run is window `Order.window(g)`, so
resume is one integer and the stream is the same for any number of processes.
"""

from dataclasses import dataclass

import numpy as np

from model.config import IGNORED
from storage.shards import TokenStream

_ROUNDS = 4
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Batch:
    """Inputs and targets, both int64 (sequences, sequence_length); ignored targets are -100."""

    ids: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Order:
    """Every window once an epoch, in an order keyed by (seed, epoch).

    A balanced Feistel network on the smallest 2h-bit domain that holds `size` (Luby and Rackoff
    1988), walked in cycles until it lands below `size` (Black and Rogaway 2002): a bijection that
    needs no index in memory.
    """

    size: int
    seed: int

    def windows(self, start: int, count: int) -> np.ndarray:
        """Window indices of samples start ≤ g < start + count; int64, shape (count,)."""
        samples = np.arange(start, start + count, dtype=np.int64)
        result = np.empty(count, dtype=np.int64)
        epochs = samples // self.size
        for epoch in np.unique(epochs):
            here = epochs == epoch
            result[here] = self._permute(samples[here] % self.size, int(epoch))
        return result

    def _permute(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        half = np.uint64(max(1, ((self.size - 1).bit_length() + 1) // 2))
        keys = _round_keys(self.seed, epoch)
        values = _feistel(indices.astype(np.uint64), half, keys)
        while (outside := values >= self.size).any():
            values[outside] = _feistel(values[outside], half, keys)
        return values.astype(np.int64)


class Windows:
    """A token stream cut into windows that each predict up to `sequence_length` tokens.

    Windows overlap by one token, so that every token but the first is predicted once an epoch; the
    last window is padded with ignored targets.
    """

    def __init__(self, stream: TokenStream, sequence_length: int) -> None:
        assert len(stream) > 1
        self._stream = stream
        self._length = sequence_length

    def __len__(self) -> int:
        return (len(self._stream) + self._length - 2) // self._length

    def targets(self, windows: np.ndarray) -> int:
        """How many tokens these windows predict, without reading them."""
        left = len(self._stream) - 1 - windows * self._length
        return int(np.minimum(left, self._length).sum())

    def read(self, windows: np.ndarray) -> Batch:
        """The windows with these indices, in this order."""
        ids = np.zeros((len(windows), self._length), dtype=np.int64)
        targets = np.full((len(windows), self._length), IGNORED, dtype=np.int64)
        for row, window in enumerate(windows.tolist()):
            start = window * self._length
            tokens = self._stream.read(start, min(start + self._length + 1, len(self._stream)))
            ids[row, : len(tokens) - 1] = tokens[:-1]
            targets[row, : len(tokens) - 1] = tokens[1:]
        return Batch(ids, targets)


def share(
    windows: np.ndarray, num_processes: int, process_index: int, micro_batch_size: int
) -> np.ndarray:
    """One process's part of a global batch: a row of `micro_batch_size` windows a micro-batch."""
    shares = windows.reshape(num_processes, -1, micro_batch_size)
    mine: np.ndarray = shares[process_index]
    return mine


def _round_keys(seed: int, epoch: int) -> list[np.uint64]:
    state = (seed * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03 + 1) & _MASK
    keys = []
    for _ in range(_ROUNDS):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        keys.append(_mix(np.array([state], dtype=np.uint64))[0])
    return keys


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _feistel(values: np.ndarray, half: np.uint64, keys: list[np.uint64]) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << half) | right
