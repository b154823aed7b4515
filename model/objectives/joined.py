"""Several objectives in one run: the samples of each, numbered one after the other."""

from collections.abc import Sequence

import numpy as np

from model.data.batches import Batch, Samples


class Joined:
    """The samples of several objectives of a decoder, each a section of the whole.

    Attributes:
        dropped: tokens that none of them reads.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        """Numbers those of each part behind those of the parts before it."""
        self._parts = parts
        self.sizes = [sum(part.sizes) for part in parts]
        self.dropped = max(part.dropped for part in parts)
        self._first = np.cumsum([0, *self.sizes])

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these samples has; int64, (...)."""
        return self._each(numbers, [part.tokens for part in self._parts])

    def learned(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these samples predicts; int64, (...)."""
        return self._each(numbers, [part.learned for part in self._parts])

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> Batch:
        """The samples with these numbers, in this order."""
        tokens: np.ndarray | None = None
        learned = np.empty(len(numbers), np.int64)
        for number, part in enumerate(self._parts):
            rows = np.flatnonzero(self._part_of(numbers) == number)
            if not len(rows):
                continue
            batch = part.read(numbers[rows] - self._first[number], draws[rows])
            assert isinstance(batch, Batch) and batch.positions is None and batch.inputs is None
            if tokens is None:
                tokens = np.empty((len(numbers), batch.tokens.shape[1]), batch.tokens.dtype)
            tokens[rows], learned[rows] = batch.tokens, batch.learned
        assert tokens is not None, "no sample is asked for"
        return Batch(tokens, learned)

    def _part_of(self, numbers: np.ndarray) -> np.ndarray:
        part: np.ndarray = np.searchsorted(self._first, numbers, side="right") - 1
        return part

    def _each(self, numbers: np.ndarray, counts: Sequence[object]) -> np.ndarray:
        found, part_of = np.empty(numbers.shape, np.int64), self._part_of(numbers)
        for number, count in enumerate(counts):
            here = part_of == number
            assert callable(count)
            found[here] = count(numbers[here] - self._first[number])
        return found
