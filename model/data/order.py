"""The order of data: a pure function of (seed, epoch, sample).

There is no shuffle buffer and no loader state: sample g of a run is window `Order.windows(g, 1)`,
so resume is one integer and the stream is the same for any number of processes.
"""

from dataclasses import dataclass

import numpy as np

_ROUNDS = 4
_MASK = (1 << 64) - 1


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
        for epoch in range(start // self.size, -(-(start + count) // self.size)):
            begin, end = (
                min(max(edge * self.size - start, 0), count) for edge in (epoch, epoch + 1)
            )
            result[begin:end] = self._permute(samples[begin:end] % self.size, epoch)
        return result

    def _permute(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        half = np.uint64(max(1, ((self.size - 1).bit_length() + 1) // 2))
        keys = _round_keys(self.seed, epoch)
        values = _feistel(indices.astype(np.uint64), half, keys)
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            walked = values[outside] = _feistel(values[outside], half, keys)
            outside = outside[walked >= self.size]
        return values.astype(np.int64)


def _round_keys(seed: int, epoch: int) -> list[np.uint64]:
    state = (seed * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03 + 1) & _MASK
    keys = []
    for _ in range(_ROUNDS):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        keys.append(mix(np.array([state], dtype=np.uint64))[0])
    return keys


def mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    mixed: np.ndarray = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _feistel(values: np.ndarray, half: np.uint64, keys: list[np.uint64]) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (mix(right + key) & mask)
    return (left << half) | right
