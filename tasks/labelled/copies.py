"""Copies among labelled examples: texts that are the same to a reader, and those that nearly are.

Two texts are the same if their letters, digits and emoji are, whatever their case, width, spacing
and punctuation, and whether a tokeniser has been over one of them (`do n't`, `-lrb-`). They are
near copies if of the runs of five of these characters a share of `similarity` is in common: words,
which documents are compared by, would part too few of the short texts that examples are.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import Texts
from corpusmill.tasks.ingestion.duplicates.components import near_duplicates
from corpusmill.tasks.ingestion.duplicates.exact import exact_duplicates
from corpusmill.tasks.ingestion.duplicates.signatures import band_hashes, rows_for

# Brackets as the Penn Treebank writes them, and what is left of those where hyphens were removed.
_BRACKETS = re.compile(r"(?<![^\W_])-?[lr][rsc]b-?(?![^\W_])", re.IGNORECASE)
_BATCH = 1 << 14


@dataclass(frozen=True)
class Copies:
    """Which examples are copies of which, by their numbers.

    Attributes:
        same: int64 (examples,): the first example that reads the same, its pair in the same order.
        alike: int64 (examples,): the first one that reads the same, its pair in any order.
        component: int64 (examples,): the first of those that copies and near copies join it to.
    """

    same: np.ndarray
    alike: np.ndarray
    component: np.ndarray


def find_copies(texts: Sequence[str], pairs: Sequence[str] | None, similarity: float) -> Copies:
    """Finds copies and near copies among all examples.

    Args:
        texts, pairs: (examples,).
        similarity: Jaccard similarity of runs of five characters from which texts are near copies.
    """
    keys: list[tuple[str, ...]] = [(reading_key(text),) for text in texts]
    if pairs is not None:
        keys = [(*key, reading_key(pair)) for key, pair in zip(keys, pairs, strict=True)]
    same, alike = exact_duplicates(_digests(keys)), exact_duplicates(_digests(map(sorted, keys)))
    # What follows takes white space to part tokens: each character is one.
    spaced = [
        pa.array(
            [" ".join(" ".join(key)) for key in keys[start : start + _BATCH]], pa.large_string()
        )
        for start in range(0, len(keys), _BATCH)
    ]
    bands = [band_hashes(each, rows_for(similarity)) for each in spaced]
    found = near_duplicates(bands, Texts(spaced), similarity, alike)
    return Copies(same, alike, found.component)


def reading_key(text: str) -> str:
    """What a text is to a reader; of one without letters, digits and emoji, its other signs."""
    folded = unicodedata.normalize("NFKC", _BRACKETS.sub(" ", text)).casefold()
    return folded.translate(_READ) or "".join(folded.split())


class _Read(dict[int, int | None]):
    """For `str.translate`: keeps letters, marks, digits and emoji."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        kept = code if category[0] in "LMN" or category == "So" else None
        self[code] = kept
        return kept


_READ = _Read()


def _digests(keys: Iterable[Sequence[str]]) -> np.ndarray:
    """16 bytes for each key; uint64 (keys, 2)."""
    data = b"".join(hashlib.sha256("\0".join(key).encode()).digest()[:16] for key in keys)
    return np.frombuffer(data, np.uint64).reshape(-1, 2)
