"""What the network is fed: batches of samples, and each process's part of a global one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from corpusmill.model.network.config import IGNORED


@dataclass(frozen=True)
class Batch:
    """Some samples in the type of the shards, to be cast where the network is.

    Attributes:
        tokens: (sequences, sequence_length + 1): each one but the first is predicted.
        num_targets: int64 (sequences,): how many of them are targets; after those is padding.
        positions: int32 (sequences, sequence_length): place of each input in its document, which
            attention does not leave; None where attention sees the whole row.
        inputs: (sequences, sequence_length): what each is predicted from; None where that is the
            one before it in its row.
    """

    tokens: np.ndarray
    num_targets: np.ndarray
    positions: np.ndarray | None = None
    inputs: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """What is read; (sequences, sequence_length)."""
        return self.tokens[:, :-1] if self.inputs is None else self.inputs

    @property
    def targets(self) -> np.ndarray:
        """Ids to predict, int64 (sequences, sequence_length); -100 where there is none."""
        following = self.tokens[:, 1:].astype(np.int64)
        padding = np.arange(following.shape[1]) >= self.num_targets[:, None]
        targets: np.ndarray = np.where(padding, IGNORED, following)
        return targets


@dataclass(frozen=True)
class MaskedBatch:
    """Some samples for an encoder; its arguments by their names, padding at the end of rows."""

    ids_BT: np.ndarray
    lengths_B: np.ndarray
    places_BM: np.ndarray
    targets_BM: np.ndarray
    segments_BT: np.ndarray | None = None
    positions_BT: np.ndarray | None = None
    random_next_B: np.ndarray | None = None


@dataclass(frozen=True)
class PairBatch:
    """Some samples for an encoder-decoder; its arguments by their names, padding at the ends."""

    source_BS: np.ndarray
    lengths_B: np.ndarray
    ids_BT: np.ndarray
    targets_BT: np.ndarray


@dataclass(frozen=True)
class LabelledBatch:
    """Some texts with their labels; arguments of `Labeller` by their names, padding at the ends.

    Attributes:
        targets: int64 (sequences,), fp32 (sequences,) or fp32 (sequences, labels).
    """

    ids_BT: np.ndarray
    lengths_B: np.ndarray
    targets: np.ndarray
    segments_BT: np.ndarray | None = None


AnyBatch = Batch | MaskedBatch | PairBatch | LabelledBatch


class Samples(Protocol):
    """Training samples with numbers: those of the first section, of the second, and so on.

    Attributes:
        sizes: samples of each section.
        dropped: tokens of text that are in none of them.
        longest: positions of the longest text that attention sees at once in one of them.
    """

    sizes: list[int]
    dropped: int
    longest: int

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these samples has; int64, (...)."""

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many targets each of these samples has, without reading them.

        int64, (...), or (..., K) where the network has K losses.
        """

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> AnyBatch:
        """The samples with these numbers, in this order.

        Args:
            draws: numbers of the samples in the run, on which depends what is drawn at random.
        """


def positions_from(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Places counted from 0 at the beginning of each row and at each (row, column) given.

    Returns:
        int32 (sequences, sequence_length).
    """
    begins = np.zeros(shape, np.int32)
    begins[rows, columns] = columns
    np.maximum.accumulate(begins, axis=1, out=begins)
    places: np.ndarray = np.arange(shape[1], dtype=np.int32) - begins
    return places


def local_samples(
    samples: np.ndarray, num_processes: int, process_index: int, micro_batch_size: int
) -> np.ndarray:
    """One process's part of a global batch: a row of `micro_batch_size` samples a micro-batch."""
    shares = samples.reshape(num_processes, -1, micro_batch_size)
    mine: np.ndarray = shares[process_index]
    return mine
