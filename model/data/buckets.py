"""Samples of about the same length next to each other, so that little is padded."""

from typing import Protocol

import numpy as np

from corpusmill.model.data.batches import Samples
from corpusmill.model.data.order import Order

# Buckets that are sorted together: the more, the less their samples differ in length.
_BUCKETS = 256


class Ordered(Protocol):
    """An order of samples: `Order`, `Mixture` or `Bucketed`."""

    def windows(self, start: int, count: int) -> np.ndarray:
        """Numbers of samples start ≤ g < start + count of the run; int64 (count,)."""


class Bucketed:
    """Another order in which each `size` samples are of about the same length.

    Some hundred times `size` samples of that order are sorted by length and parted into buckets,
    and those come in a random order: a pure function of the sample's number, as all orders are.
    """

    def __init__(self, order: Ordered, samples: Samples, size: int, seed: int) -> None:
        """Makes buckets of `size` samples."""
        self._order, self._samples, self._size = order, samples, size
        # Within an epoch: else buckets would hold the same samples several times.
        self._buckets = min(_BUCKETS, max(1, sum(samples.sizes) // size))
        self._shuffle = Order(self._buckets, seed)

    def windows(self, start: int, count: int) -> np.ndarray:
        """Numbers of samples start ≤ g < start + count of the run; int64 (count,)."""
        block = self._buckets * self._size
        first = start // block
        blocks = [self._block(number) for number in range(first, -(-(start + count) // block))]
        skipped = start - first * block
        return np.concatenate(blocks)[skipped : skipped + count]

    def _block(self, number: int) -> np.ndarray:
        count = self._buckets * self._size
        numbers = self._order.windows(number * count, count)
        by_length = numbers[np.argsort(self._samples.tokens(numbers), kind="stable")]
        order = self._shuffle.windows(number * self._buckets, self._buckets)
        block: np.ndarray = by_length.reshape(self._buckets, self._size)[order].reshape(-1)
        return block
