"""Samples cut from a token stream at equal distances."""

from collections.abc import Sequence

import numpy as np

from corpusmill.model.data.batches import Batch, positions_from
from corpusmill.storage.shards.reading import TokenSource


class Windows:
    """Windows that each predict up to `sequence_length` tokens.

    Windows overlap by one token, so that every token of a section but the first is predicted once
    an epoch; the last window of a section is padded.
    """

    dropped = 0

    def __init__(
        self,
        stream: TokenSource,
        sequence_length: int,
        sections: Sequence[tuple[int, int]] | None = None,
        document_ends: np.ndarray | None = None,
    ) -> None:
        """Cuts a stream.

        Args:
            stream: of more than one token.
            sequence_length: inputs of a window.
            sections: (first token, tokens) of each; one of everything where it is not given.
            document_ends: int64 (documents,); where given, attention stays within a document.
        """
        begins, tokens = np.array(sections or [(0, len(stream))], np.int64).T
        counts = np.maximum(0, (tokens + sequence_length - 2) // sequence_length)
        self.sizes: list[int] = counts.tolist()
        # Of each section: the number behind its windows, where its window 0 would start if it had
        # one, and its last token.
        self._after = np.cumsum(counts)
        self._shift = begins - (self._after - counts) * sequence_length
        self._last = begins + tokens - 1
        self._stream = stream
        self._length = sequence_length
        self._document_ends = document_ends
        self.longest = max(0, min(sequence_length, int(tokens.max()) - 1))
        if document_ends is not None:
            parts = zip(begins.tolist(), self._last.tolist(), strict=True)
            self.longest = max(self._longest(*part, document_ends) for part in parts)

    def _longest(self, begin: int, last: int, document_ends: np.ndarray) -> int:
        """Inputs of the longest piece of a document in a window of this section."""
        closing = document_ends - 1
        inside = closing[(closing > begin) & (closing < last)]
        edges = np.union1d(np.arange(begin, last, self._length), inside)
        return int(np.diff(edges, append=last).max(initial=0))

    def __len__(self) -> int:
        return sum(self.sizes)

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these samples predicts; int64, (...)."""
        return self.num_targets(numbers)

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these windows predicts, without reading them; int64, (...)."""
        return self._places(numbers)[1]

    def read(self, numbers: np.ndarray, draws: np.ndarray | None = None) -> Batch:  # noqa: ARG002
        """The windows with these numbers, in this order."""
        starts, num_targets = self._places(numbers)
        tokens = self._stream.rows(starts, self._length + 1)
        if num_targets.min(initial=self._length) < self._length:
            tokens[np.arange(self._length + 1) > num_targets[:, None]] = 0
        if self._document_ends is None:
            return Batch(tokens, num_targets)
        return Batch(tokens, num_targets, self._positions(self._document_ends, starts, num_targets))

    def _places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where these windows start, and how many tokens each predicts; int64 (windows,)."""
        section = np.searchsorted(self._after, numbers, side="right")
        starts = numbers * self._length + self._shift[section]
        return starts, np.minimum(self._last[section] - starts, self._length)

    def _positions(
        self, ends: np.ndarray, starts: np.ndarray, num_targets: np.ndarray
    ) -> np.ndarray:
        # The token that closes a document is the input from which the next one is predicted.
        first = np.searchsorted(ends, starts + 2)
        counts = np.searchsorted(ends, starts + num_targets, side="right") - first
        rows = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns = ends[first[rows] + within] - 1 - starts[rows]
        padded = np.flatnonzero(num_targets < self._length)
        return positions_from(
            np.concatenate([rows, padded]),
            np.concatenate([columns, num_targets[padded]]),
            (len(starts), self._length),
        )
