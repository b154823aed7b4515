"""Span corruption (Raffel et al. 2020, §3.1.4): spans of text are cut out, and are to be written.

Read: the text with a sentinel in the place of each span, and the closing token. Written: each
sentinel and the span it stands for, and the closing token.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import numpy as np

from corpusmill.model.data.batches import PairBatch
from corpusmill.model.data.draws import uniforms
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.config import SpanCorruption
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import TokenSource

_CUT, _KEPT = 6, 7  # purposes of random numbers
_SHORTEST = 2  # tokens of a text of which something is cut out and something stays


class CorruptedRows:
    """Texts cut from the stream at equal distances, which go over the ends of documents.

    As long as fits: with its sentinels a text fills the sequence that is read.

    Attributes:
        dropped: tokens of a rest too short to be corrupted.
    """

    def __init__(
        self,
        stream: TokenSource,
        sequence_length: int,
        objective: SpanCorruption,
        vocabulary: Vocabulary,
        seed: int,
        sections: Sequence[tuple[int, int]],
    ) -> None:
        """Cuts a stream.

        Args:
            sequence_length: tokens that are read at most.
            sections: (first token, tokens) of each.

        Raises:
            ConfigError: the vocabulary has fewer sentinels than there are spans.
        """
        self._stream, self._objective, self._vocabulary = stream, objective, vocabulary
        self._seed = seed
        self._length = sequence_length
        text = _longest_text(sequence_length, objective)
        starts, sizes = [], []
        for begin, tokens in sections:
            first = np.arange(begin, begin + tokens, text)
            size = np.minimum(begin + tokens - first, text)
            starts.append(first[size >= _SHORTEST])
            sizes.append(size[size >= _SHORTEST])
        self.sizes = [len(each) for each in starts]
        self._starts, self._sizes = np.concatenate(starts), np.concatenate(sizes)
        self.dropped = sum(tokens for _, tokens in sections) - int(self._sizes.sum())
        self._cut, self._spans = spans_of(self._sizes, objective)
        self._written = int((self._cut + self._spans).max(initial=0)) + 1
        read = self._sizes - self._cut + self._spans + 1
        self.longest = max(int(read.max(initial=0)), self._written)
        wanted, there = int(self._spans.max(initial=0)), len(vocabulary.sentinels)
        if wanted > there:
            raise ConfigError(
                f"train.sequence_length {sequence_length} makes {wanted} spans, but the tokenizer "
                f"has {there} sentinels; lower it, or raise mean_span in train.objectives."
            )

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these rows has; int64, (...)."""
        tokens: np.ndarray = self._sizes[numbers]
        return tokens

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of each of these rows are written; int64, (...)."""
        num_targets: np.ndarray = self._cut[numbers] + self._spans[numbers] + 1
        return num_targets

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> PairBatch:
        """The rows with these numbers, corrupted as these draws say."""
        pad = self._vocabulary.require("pad")
        source_BS = np.full((len(numbers), self._length), pad, np.int64)
        target_BT = np.full((len(numbers), self._written), IGNORED, np.int64)
        lengths, closing = np.empty(len(numbers), np.int64), [self._vocabulary.closing]
        for row, edges in enumerate(self._edges(numbers, draws)):
            spans = len(edges) // 2 - 1
            text = self._stream.read(int(edges[0]), int(edges[-1]))
            pieces = np.split(text, edges[1:-1] - edges[0])
            marks = np.array(self._vocabulary.sentinels[:spans], np.int64)[:, None]
            read = np.concatenate([*_alternating(pieces[::2], marks), closing])
            written = np.concatenate([*_alternating(marks, pieces[1::2]), closing])
            source_BS[row, : len(read)], lengths[row] = read, len(read)
            target_BT[row, : len(written)] = written
        ids_BT = np.full_like(target_BT, pad)
        ids_BT[:, 1:] = np.where(target_BT[:, :-1] == IGNORED, pad, target_BT[:, :-1])
        return PairBatch(source_BS, lengths, ids_BT, target_BT)

    def targets_in_stream(self, numbers: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Where in the stream each target of these rows is; int64 (B, T), 0 where there is none.

        A sentinel is where its span begins, the closing token where the row ends.
        """
        places_BT = np.zeros((len(numbers), self._written), np.int64)
        for row, edges in enumerate(self._edges(numbers, draws)):
            spans = zip(edges[1:-1:2].tolist(), edges[2::2].tolist(), strict=True)
            places = [place for begin, end in spans for place in (begin, *range(begin, end))]
            places_BT[row, : len(places) + 1] = [*places, int(edges[-1]) - 1]
        return places_BT

    def _edges(self, numbers: np.ndarray, draws: np.ndarray) -> Iterator[np.ndarray]:
        """For each row where its pieces begin in the stream, kept and cut by turns, and its end.

        int64 (2 · spans + 2,)
        """
        # A text is no longer than what is read and what is written of it.
        count = self._length + self._written
        cut = uniforms(self._seed, draws, _CUT, count)
        kept = uniforms(self._seed, draws, _KEPT, count)
        for row, number in enumerate(numbers.tolist()):
            start, size = int(self._starts[number]), int(self._sizes[number])
            noise, spans = int(self._cut[number]), int(self._spans[number])
            edges = np.empty(2 * spans + 2, np.int64)
            # What is kept before the first span and behind the last may be nothing: else the last
            # token would be cut out always.
            edges[1::2] = _parted(size - noise + 2, spans + 1, kept[row])
            edges[[1, -1]] -= 1
            edges[2::2] = _parted(noise, spans, cut[row])
            edges[0] = start
            yield np.cumsum(edges)


def spans_of(sizes: np.ndarray, objective: SpanCorruption) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens are cut out of texts of so many, and in how many spans; int64 each."""
    cut = np.clip(np.rint(sizes * objective.share), 1, np.maximum(sizes - 1, 1)).astype(np.int64)
    spans = np.rint(cut / objective.mean_span).astype(np.int64)
    return cut, np.clip(spans, 1, np.minimum(cut, np.maximum(sizes - cut, 1)))


def fitting_length(sequence_length: int, objective: SpanCorruption, sentinels: int) -> int:
    """The longest input, at most `sequence_length`, that needs no more sentinels than there are.

    This one itself where there is none.
    """
    sizes = np.arange(_SHORTEST, 2 * sequence_length + 2)
    cut, spans = spans_of(sizes, objective)
    read = sizes - cut + spans + 1
    fitting = read[(read <= sequence_length) & (spans <= sentinels)]
    return int(fitting.max()) if len(fitting) else sequence_length


def _longest_text(sequence_length: int, objective: SpanCorruption) -> int:
    """Tokens of the longest text that fits with its sentinels and its closing token."""
    sizes = np.arange(_SHORTEST, 2 * sequence_length + 2)
    cut, spans = spans_of(sizes, objective)
    fitting = sizes[sizes - cut + spans + 1 <= sequence_length]
    if not len(fitting):
        raise ConfigError(
            f"train.sequence_length is {sequence_length}, which leaves no text beside the control "
            "tokens; set it to 3 or more."
        )
    return int(fitting.max())


def _parted(total: int, parts: int, drawn: np.ndarray) -> np.ndarray:
    """`total` as a sum of `parts` numbers above 0, each way as likely; int64 (parts,)."""
    edges = np.sort(np.argsort(drawn[: total - 1])[: parts - 1]) + 1
    sizes: np.ndarray = np.diff(np.concatenate([[0], edges, [total]]))
    return sizes


def _alternating(first: Iterable[np.ndarray], second: Iterable[np.ndarray]) -> list[np.ndarray]:
    """One of the first, one of the second, and so on; the first may be one more."""
    pairs = zip_longest(first, second)
    return [each for pair in pairs for each in pair if each is not None]
