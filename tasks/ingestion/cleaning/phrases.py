"""Searches documents for many n-grams of words at once, for block lists and evaluation texts.

Words are runs of letters and digits, case-folded; a character of a script without spaces is a word
by itself, so that a Chinese phrase is found wherever it stands and an English one between words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import bytes_of, offsets_of
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.characters import WORD, flags_of, fold_table, phrase_table
from corpusmill.tasks.ingestion.cleaning.engine import compiled
from corpusmill.tasks.ingestion.cleaning.reference import Document, segment
from corpusmill.tasks.ingestion.stats import SAMPLES, Stats

if TYPE_CHECKING:
    from corpusmill.tasks.ingestion.cleaning.phrase_kernels import Table

# A word of Chinese has 1.7 characters (see `thresholds`), each of which is a word here.
LONGER = 1.7
WHOLE = 1 << 30


@dataclass(frozen=True)
class PhraseMatcher:
    """The n-grams of some texts, to be found in documents.

    Attributes:
        texts: what the n-grams are taken from.
        width: words in an n-gram; LONGER times as many in a text of an unspaced script.
        least: a text shorter than `width` is one n-gram if it has at least so many words.
        marks: whether punctuation marks are words; otherwise they are skipped.
    """

    texts: tuple[str, ...]
    width: int
    least: int
    marks: bool

    def find(self, texts: pa.LargeStringArray) -> np.ndarray:
        """int32 (documents,): index of the text whose n-gram each document holds first, or -1."""
        if not compiled():
            found = (self._find(text.as_py()) for text in texts)
            return np.fromiter(found, np.int32, len(texts))
        from corpusmill.tasks.ingestion.cleaning.phrase_kernels import find

        return find(bytes_of(texts), offsets_of(texts), self._table, self.marks)

    @cached_property
    def _table(self) -> "Table":
        from corpusmill.tasks.ingestion.cleaning.phrase_kernels import make_table

        texts = pa.array(self.texts, pa.large_string())
        data, offsets = bytes_of(texts), offsets_of(texts)
        return make_table(data, offsets, self.width, self.least, LONGER, self.marks)

    def _find(self, text: str) -> int:
        words = _words(text, self.marks)
        widths = sorted(set(map(len, self._sequences)))
        for i in range(len(words)):
            for width in widths:
                owner = self._sequences.get(tuple(words[i : i + width]))
                if owner is not None:
                    return owner
        return -1

    @cached_property
    def _sequences(self) -> dict[tuple[str, ...], int]:
        owners: dict[tuple[str, ...], int] = {}
        for owner, text in enumerate(self.texts):
            for sequence in self._cut(text):
                owners.setdefault(sequence, owner)
        return owners

    def _cut(self, text: str) -> Iterator[tuple[str, ...]]:
        words = _words(text, self.marks)
        scale = LONGER if Document(text, False, False).unspaced else 1
        width = min(len(words), round(self.width * scale))
        if width and width >= min(self.width, self.least) * scale:
            for i in range(len(words) - width + 1):
                yield tuple(words[i : i + width])


def drop_found(
    batch: DocumentBatch, found: np.ndarray, reason: str, details: Sequence[str], stats: Stats
) -> DocumentBatch:
    """Drops the documents in which something was found; samples say what.

    Args:
        found: int (documents,): an index into `details`, or -1.
    """
    out = found >= 0
    left = SAMPLES - len(stats.samples.get(reason, ()))
    for row in np.flatnonzero(out)[: max(0, left)].tolist():
        one = np.zeros(len(batch), bool)
        one[row] = True
        stats.drop(batch, one, reason, details[found[row]])
        out[row] = False
    stats.drop(batch, out, reason)
    return batch.filter(found < 0)


def _words(text: str, marks: bool) -> list[str]:
    flags, fold = phrase_table(), fold_table()
    words = segment(text, lambda character: int(flags[ord(character)]))
    kept = (word for word in words if marks or any(flags_of(c) & WORD and c != "_" for c in word))
    return ["".join(chr(fold[ord(character)]) for character in word) for word in kept]
