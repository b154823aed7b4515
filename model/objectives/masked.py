"""Samples for an encoder: rows of text, or pairs of texts, in which some tokens are masked.

Both are made of a stream of documents `[CLS] … [SEP]`. Shape suffixes as in `masking`.
"""

from collections.abc import Sequence

import numpy as np

from model.data.batches import MaskedBatch, positions_from
from model.data.draws import uniforms
from model.objectives.masking import Masking
from storage.errors import ConfigError
from storage.shards.reading import TokenSource

_LABEL, _SPLIT, _PARTNER = range(3, 6)  # purposes of random numbers, behind those of masking
_SHORTEST = 2  # tokens of a pair


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
        _check_length(sequence_length, 3)
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
        self._learned = masking.counts(candidates)
        self._width = max(1, int(self._learned.max(initial=1)))

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these rows has; int64, (...)."""
        tokens: np.ndarray = self._stops[numbers] - self._starts[numbers]
        return tokens

    def learned(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these rows predicts; int64, (...)."""
        learned: np.ndarray = self._learned[numbers]
        return learned

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


class SentencePairs:
    """`[CLS] A [SEP] B [SEP]`, where B follows A in its document, or half the time does not.

    A and B are spans of text (Devlin et al. 2019, §A.2), parted at the end of a sentence where
    there is one. A document is cut into nearly equal pieces, which become pairs; of a piece whose B
    is drawn from another document, the text after A is not read that time.

    Attributes:
        documents: that can be parted.
        dropped: tokens of documents too short to be parted.
    """

    def __init__(
        self,
        stream: TokenSource,
        document_ends: np.ndarray,
        sequence_length: int,
        masking: Masking,
        sections: Sequence[tuple[int, int]],
        *,
        least: int,
    ) -> None:
        """Cuts documents into pieces.

        Args:
            sequence_length: tokens of a row, 6 or more.
            sections: (first token, tokens) of each.
            least: documents that can be parted; of one alone, B always follows A.

        Raises:
            ConfigError: rows are too short, or there are fewer documents.
        """
        _check_length(sequence_length, 6)
        self._stream, self._masking, self._length = stream, masking, sequence_length
        begins = np.concatenate([[0], document_ends[:-1]])
        inside = [
            np.flatnonzero((begins >= first) & (document_ends <= first + tokens))
            for first, tokens in sections
        ]
        plans = [
            _pieces(begins[chosen] + 1, document_ends[chosen] - 1, sequence_length - 3)
            for chosen in inside
        ]
        self.sizes = [len(sizes) for _, sizes, _ in plans]
        self._starts, self._sizes = (np.concatenate([p[n] for p in plans]) for n in (0, 1))
        self._document = np.concatenate(
            [chosen[plan[2]] for chosen, plan in zip(inside, plans, strict=True)]
        )
        self.documents = len(np.unique(self._document))
        if self.documents < least:
            raise ConfigError(
                f"{self.documents} documents have text for a pair; expected {least} or more for "
                "next-sentence prediction: add text, or set model.next_sentence to false."
            )
        # Partners are found among pieces at least as long.
        self._by_size = np.argsort(self._sizes, kind="stable")
        self._ordered = self._sizes[self._by_size]
        self._width = max(1, int(masking.counts(self._sizes).max()))
        text = sum(int((document_ends[chosen] - begins[chosen] - 2).sum()) for chosen in inside)
        self.dropped = text - int(self._sizes.sum())

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these pairs has; int64, (...)."""
        tokens: np.ndarray = self._sizes[numbers]
        return tokens

    def learned(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens that each of these pairs predicts, and 1 for its judgement; int64 (..., 2)."""
        masked = self._masking.counts(self._sizes[numbers])
        return np.stack([masked, np.ones_like(masked)], axis=-1)

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> MaskedBatch:
        """The pairs with these numbers, parted, joined and masked as these draws say."""
        vocabulary, seed = self._masking.vocabulary, self._masking.seed
        label, split, partner = (
            uniforms(seed, draws, purpose, 1)[:, 0] for purpose in (_LABEL, _SPLIT, _PARTNER)
        )
        ids_BT = np.full((len(numbers), self._length), vocabulary.require("pad"), np.int64)
        segments_BT = np.zeros_like(ids_BT)
        candidates_BT = np.zeros(ids_BT.shape, bool)
        random_next = np.zeros(len(numbers), np.int64)
        lengths = self._sizes[numbers] + 3
        for row, number in enumerate(numbers.tolist()):
            start, size = int(self._starts[number]), int(self._sizes[number])
            piece = self._stream.read(start, start + size)
            cut = self._cut(piece, float(split[row]))
            second = piece[cut:]
            if label[row] < 0.5:
                other = self._partner(number, float(partner[row]))
                if other is not None:
                    random_next[row] = 1
                    begin = int(self._starts[other])
                    second = self._stream.read(begin, begin + size - cut)
            ids_BT[row, 0] = vocabulary.require("opening")
            ids_BT[row, 1 : cut + 1] = piece[:cut]
            ids_BT[row, [cut + 1, size + 2]] = vocabulary.closing
            ids_BT[row, cut + 2 : size + 2] = second
            segments_BT[row, cut + 2 : size + 3] = 1
            candidates_BT[row, 1 : size + 2] = True
            candidates_BT[row, cut + 1] = False
        masked, places, targets = self._masking.apply(ids_BT, candidates_BT, draws, self._width)
        return MaskedBatch(masked, lengths, places, targets, segments_BT, random_next_B=random_next)

    def _cut(self, piece: np.ndarray, split: float) -> int:
        """Tokens of A: up to the end of a sentence near a random place, else to that place."""
        wanted = 1 + int(split * (len(piece) - 1))
        ends = np.flatnonzero(self._masking.vocabulary.ends_sentence[piece[:-1]]) + 1
        return int(ends[np.abs(ends - wanted).argmin()]) if len(ends) else wanted

    def _partner(self, number: int, drawn: float) -> int | None:
        """A piece of another document, at least as long; None where there is none."""
        first = int(np.searchsorted(self._ordered, self._sizes[number]))
        among = self._by_size[first:]
        place = int(drawn * len(among))
        for step in range(len(among)):
            other = int(among[(place + step) % len(among)])
            if self._document[other] != self._document[number]:
                return other
        return None


def _check_length(sequence_length: int, least: int) -> None:
    if sequence_length < least:
        raise ConfigError(
            f"train.sequence_length is {sequence_length}, which leaves no text beside the control "
            f"tokens; set it to {least} or more."
        )


def _pieces(
    begins: np.ndarray, ends: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, tokens and document of nearly equal pieces of up to `longest` tokens; int64 each."""
    sizes = ends - begins
    kept = np.flatnonzero(sizes >= _SHORTEST)
    count = -(-sizes[kept] // longest)
    document = np.repeat(kept, count)
    within = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    size, pieces = sizes[document], np.repeat(count, count)
    first, last = within * size // pieces, (within + 1) * size // pieces
    return begins[document] + first, last - first, document
