"""Samples for an encoder: rows of text in which some tokens are masked.

They are made of a stream of documents `[CLS] … [SEP]`. Shape suffixes as in `masking`.
"""

from collections.abc import Sequence

import numpy as np

from corpusmill.model.data.batches import MaskedBatch, positions_from
from corpusmill.model.objectives.masking import Masking
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import TokenSource


class MaskedRows:
    """`[CLS] text [SEP]` with the text cut from the stream at equal distances.

    A row goes over the ends of documents (Liu et al. 2019, §4.2, FULL-SENTENCES), unless attention
    is kept from it. Every token is in one row an epoch; what frames a document is never masked.
    """

    dropped = 0

    def __init__(
        self,
        stream: TokenSource,
        document_ends: np.ndarray,
        sequence_length: int,
        masking: Masking,
        sections: Sequence[tuple[int, int]],
        *,
        document_mask: bool,
    ) -> None:
        """Cuts a stream.

        Args:
            sequence_length: tokens of a row, 3 or more.
            sections: (first token, tokens) of each.
            document_mask: attention stays within a document.

        Raises:
            ConfigError: rows are too short.
        """
        check_length(sequence_length, 3)
        self._stream, self._ends, self._masking = stream, document_ends, masking
        self._length = sequence_length
        self._document_mask = document_mask
        text = sequence_length - 2
        self.sizes = [-(-tokens // text) for _, tokens in sections]
        places = zip(sections, self.sizes, strict=True)
        starts = [begin + np.arange(rows) * text for (begin, _), rows in places]
        self._starts = np.concatenate(starts)
        last = np.repeat([begin + tokens for begin, tokens in sections], self.sizes)
        self._stops = np.minimum(self._starts + text, last)
        # Documents are framed by two tokens each.
        framing = np.sort(np.concatenate([[0], document_ends[:-1], document_ends - 1]))
        framed = [np.searchsorted(framing, edges) for edges in (self._starts, self._stops)]
        candidates = self._stops - self._starts - (framed[1] - framed[0])
        self._num_targets = masking.counts(candidates)
        self._width = max(1, int(self._num_targets.max(initial=1)))
        self.longest = int((self._stops - self._starts).max(initial=0)) + 2
        if document_mask:
            self.longest = max(self._longest(*section) for section in sections)

    def _longest(self, begin: int, tokens: int) -> int:
        """Tokens of the longest piece of a document in a row of this section, and its frame."""
        last = begin + tokens
        rows = np.append(np.arange(begin, last, self._length - 2), last)
        inside = self._ends[(self._ends > begin) & (self._ends < last)]
        edges = np.union1d(rows, inside)
        framed = np.isin(edges[:-1], rows).astype(np.int64) + np.isin(edges[1:], rows)
        return int((np.diff(edges) + framed).max(initial=0))

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these rows has; int64, (...)."""
        tokens: np.ndarray = self._stops[numbers] - self._starts[numbers]
        return tokens

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these rows predicts; int64, (...)."""
        num_targets: np.ndarray = self._num_targets[numbers]
        return num_targets

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> MaskedBatch:
        """The rows with these numbers, masked as these draws say."""
        vocabulary = self._masking.vocabulary
        starts, stops = self._starts[numbers], self._stops[numbers]
        lengths = stops - starts + 2
        ids_BT = np.empty((len(numbers), self._length), np.int64)
        ids_BT[:, 1:-1] = self._stream.rows(starts, self._length - 2)
        ids_BT[:, 0] = vocabulary.require("opening")
        places, last_B1 = np.arange(self._length), (lengths - 1)[:, None]
        ids_BT[places > last_B1] = vocabulary.require("pad")
        ids_BT[places == last_B1] = vocabulary.closing
        framing = (ids_BT == vocabulary.opening) | (ids_BT == vocabulary.closing)
        candidates_BT = (places < last_B1) & ~framing
        masked, chosen, targets = self._masking.apply(ids_BT, candidates_BT, draws, self._width)
        positions = self._positions(starts, stops) if self._document_mask else None
        return MaskedBatch(masked, lengths, chosen, targets, positions_BT=positions)

    def in_stream(self, numbers: np.ndarray, places_BM: np.ndarray) -> np.ndarray:
        """Where in the stream these places of these rows are; int64 (B, M)."""
        # A row begins with a [CLS] of its own.
        found: np.ndarray = self._starts[numbers][:, None] + places_BM - 1
        return found

    def _positions(self, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """Places in documents; each begins at its [CLS], and the padding by itself."""
        first, last = (np.searchsorted(self._ends, each) for each in (starts + 1, stops))
        counts = last - first
        rows = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns = self._ends[first[rows] + within] - starts[rows] + 1
        lengths = stops - starts + 2
        padded = np.flatnonzero(lengths < self._length)
        return positions_from(
            np.concatenate([rows, padded]),
            np.concatenate([columns, lengths[padded]]),
            (len(starts), self._length),
        )


def check_length(sequence_length: int, least: int) -> None:
    """Raises ConfigError if rows have fewer tokens than that."""
    if sequence_length < least:
        raise ConfigError(
            f"train.sequence_length is {sequence_length}, which leaves no text beside the control "
            f"tokens; set it to {least} or more."
        )
