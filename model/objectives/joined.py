"""Several objectives in one run: the samples of each, numbered one after the other."""

from collections.abc import Sequence

import numpy as np

from corpusmill.model.data.batches import AnyBatch, Batch, PairBatch, Samples
from corpusmill.model.network.config import IGNORED


class Joined:
    """The samples of several objectives of a decoder or an encoder-decoder, one after the other.

    Attributes:
        dropped: tokens that none of them reads.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        """Numbers those of each part behind those of the parts before it."""
        self._parts = parts
        self.sizes = [sum(part.sizes) for part in parts]
        self.dropped = max(part.dropped for part in parts)
        self.longest = max(part.longest for part in parts)
        self._first = np.cumsum([0, *self.sizes])

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these samples has; int64, (...)."""
        return self._each(numbers, [part.tokens for part in self._parts])

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these samples predicts; int64, (...)."""
        return self._each(numbers, [part.num_targets for part in self._parts])

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> AnyBatch:
        """The samples with these numbers, in this order."""
        part_of = self._part_of(numbers)
        rows, batches = [], []
        for number, part in enumerate(self._parts):
            here = np.flatnonzero(part_of == number)
            if len(here):
                rows.append(here)
                batches.append(part.read(numbers[here] - self._first[number], draws[here]))
        return _joined(batches, np.argsort(np.concatenate(rows)))

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


def _joined(batches: Sequence[AnyBatch], order: np.ndarray) -> AnyBatch:
    """One batch of the rows of several, in this order; the shorter ones padded."""
    pairs = [each for each in batches if isinstance(each, PairBatch)]
    if pairs:
        return PairBatch(
            source_BS=_stacked([each.source_BS for each in pairs], 0)[order],
            lengths_B=np.concatenate([each.lengths_B for each in pairs])[order],
            ids_BT=_stacked([each.ids_BT for each in pairs], 0)[order],
            targets_BT=_stacked([each.targets_BT for each in pairs], IGNORED)[order],
        )
    rows = [each for each in batches if isinstance(each, Batch)]
    assert all(each.positions is None and each.inputs is None for each in rows)
    return Batch(
        tokens=_stacked([each.tokens for each in rows], 0)[order],
        num_targets=np.concatenate([each.num_targets for each in rows])[order],
    )


def _stacked(parts: Sequence[np.ndarray], padding: int) -> np.ndarray:
    """Rows of all parts, one part after the other, as long as the longest."""
    width = max(part.shape[1] for part in parts)
    rows = [
        np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=padding)
        for part in parts
    ]
    return np.concatenate(rows)
