"""Next-sentence prediction: pairs of texts for an encoder, in which some tokens are masked.

Shape suffixes as in `masking`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from corpusmill.model.data.batches import MaskedBatch
from corpusmill.model.data.draws import uniforms
from corpusmill.model.objectives.masked import check_length
from corpusmill.model.objectives.masking import Masking
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import TokenSource

_PAIR = 3  # purpose of random numbers, behind those of masking
_SHORTEST = 2  # tokens of a pair
_SPARE = 32  # tokens of a document, about a sentence, within which its last pair ends


class SentencePairs:
    """`[CLS] A [SEP] B [SEP]`, where B follows A in its document, or half the time does not.

    A and B are spans of text (Devlin et al. 2019, §A.2). A document is cut into nearly equal
    pieces, which become pairs; of a piece whose B is drawn from another document, the text after A
    is not read that time. B is drawn from all other documents' text alike, from a long one as much
    more often as it also has more pieces: else a document that is known by heart would tell.

    Neither part alone says whether B is drawn: for every pair a place in its piece and one in
    another document are looked for alike, each where a sentence begins, or both anywhere where one
    of the two has no such place; how long A and B are is settled before it is known which B is
    taken; and both end anywhere, for a document is read from another token on each time, so that a
    few at its beginning or its end are left out.

    Attributes:
        documents: that can be parted.
        dropped: tokens that are read in no pair of an epoch.
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
        check_length(sequence_length, 6)
        self._stream, self._masking, self._length = stream, masking, sequence_length
        # Without the two tokens that frame them.
        begins = np.concatenate([[0], document_ends[:-1]]) + 1
        sizes = document_ends - 1 - begins
        inside = [
            np.flatnonzero((begins > first) & (document_ends <= first + tokens))
            for first, tokens in sections
        ]
        chosen = np.concatenate(inside)
        text, kept = int(sizes[chosen].sum()), chosen[sizes[chosen] >= _SHORTEST]
        self._begins, self._texts = begins[kept], sizes[kept]
        self.documents = len(kept)
        if self.documents < least:
            raise ConfigError(
                f"{self.documents} documents have text for a pair; expected {least} or more for "
                "next-sentence prediction: add text, or set model.next_sentence to false."
            )
        self._spare = np.minimum(_SPARE, self._texts // 4)
        self._first, self._sizes, self._document = _pieces(
            self._texts - self._spare, sequence_length - 3
        )
        self._edges = np.searchsorted(self._document, np.arange(self.documents + 1)).tolist()
        edges = np.cumsum([0, *(int((sizes[some] >= _SHORTEST).sum()) for some in inside)])
        self.sizes: list[int] = np.diff(np.array(self._edges)[edges]).tolist()
        self._width = max(1, int(masking.counts(self._sizes).max(initial=1)))
        self.dropped = text - int(self._sizes.sum())
        self.longest = int(self._sizes.max()) + 3

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of text each of these pairs has; int64, (...)."""
        tokens: np.ndarray = self._sizes[numbers]
        return tokens

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens that each of these pairs predicts, and 1 for its judgement; int64 (..., 2)."""
        masked = self._masking.counts(self._sizes[numbers])
        return np.stack([masked, np.ones_like(masked)], axis=-1)

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> MaskedBatch:
        """The pairs with these numbers, parted, joined and masked as these draws say."""
        vocabulary = self._masking.vocabulary
        drawn = uniforms(self._masking.seed, draws, _PAIR, len(_Drawn._fields)).tolist()
        ids_BT = np.full((len(numbers), self._length), vocabulary.require("pad"), np.int64)
        segments_BT = np.zeros_like(ids_BT)
        candidates_BT = np.zeros(ids_BT.shape, bool)
        random_next = np.zeros(len(numbers), np.int64)
        lengths = self._sizes[numbers] + 3
        for row, number in enumerate(numbers.tolist()):
            first, second, random_next[row] = self._pair(number, _Drawn(*drawn[row]))
            cut, size = len(first), len(first) + len(second)
            ids_BT[row, 0] = vocabulary.require("opening")
            ids_BT[row, 1 : cut + 1] = first
            ids_BT[row, [cut + 1, size + 2]] = vocabulary.closing
            ids_BT[row, cut + 2 : size + 2] = second
            segments_BT[row, cut + 2 : size + 3] = 1
            candidates_BT[row, 1 : size + 2] = True
            candidates_BT[row, cut + 1] = False
        masked, places, targets = self._masking.apply(ids_BT, candidates_BT, draws, self._width)
        return MaskedBatch(masked, lengths, places, targets, segments_BT, random_next_B=random_next)

    def _pair(self, number: int, drawn: "_Drawn") -> tuple[np.ndarray, np.ndarray, bool]:
        """A and B of a piece, and whether B is drawn from another document."""
        document, size = int(self._document[number]), int(self._sizes[number])
        start = int(self._begins[document] + self._first[number])
        start += int(drawn.offset * (self._spare[document] + 1))
        other = self._other(document, drawn.partner)
        begin, room = int(self._begins[other]), int(self._texts[other])
        # B is no longer than what the other document has behind its first token.
        first = max(1, size - room + 1)
        # In its first half, so that a sentence mostly begins behind it.
        wanted = first + int(drawn.split * max(1, size // 2 - first))
        sought = self._sought(number, other, room - size + wanted, drawn.place)
        # Both are looked for as far, and not found is not found for both: what is known of the text
        # before the one place is known of that before the other.
        cut = self._sentence(start, wanted, size - 1)
        place = self._sentence(begin, sought, sought + size - 1 - wanted)
        if cut is None or place is None or place > room - size + cut:
            cut, place = wanted, sought
        random = drawn.label < 0.5 and other != document
        begin = begin + place if random else start + cut
        return (
            self._stream.read(start, start + cut),
            self._stream.read(begin, begin + size - cut),
            random,
        )

    def _other(self, document: int, drawn: float) -> int:
        """The document of any piece of another one; the same where there is no other."""
        first, behind = self._edges[document], self._edges[document + 1]
        others = len(self._document) - behind + first
        if not others:
            return document
        piece = int(drawn * others)
        return int(self._document[piece if piece < first else piece + behind - first])

    def _sought(self, number: int, other: int, latest: int, place: float) -> int:
        """Where about B begins in the other document, from 1 to `latest`.

        As near its end as the piece that B might follow in is to the end of its own.
        """
        if number + 1 < self._edges[self._document[number] + 1]:
            return 1 + int(place * latest)
        return max(1, latest - int(place * (self._spare[other] + 1)))

    def _sentence(self, start: int, first: int, last: int) -> int | None:
        """Where from `start` on the next sentence begins, from `first` to `last`; None nowhere."""
        before = self._stream.read(start + first - 1, start + last)
        places = np.flatnonzero(self._masking.vocabulary.ends_sentence[before])
        return first + int(places[0]) if len(places) else None


class _Drawn(NamedTuple):
    """What is drawn for a pair, each 0 ≤ u < 1."""

    label: float
    offset: float
    partner: float
    split: float
    place: float


def _pieces(sizes: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start in its document, tokens and document of nearly equal pieces of documents.

    Args:
        sizes: tokens of each document.
        longest: tokens of a piece at most.

    Returns:
        int64 each.
    """
    count = -(-sizes // longest)
    document = np.repeat(np.arange(len(sizes)), count)
    within = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    size, pieces = sizes[document], np.repeat(count, count)
    first, last = within * size // pieces, (within + 1) * size // pieces
    return first, last - first, document
