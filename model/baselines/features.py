"""Weighted n-grams of texts and of pairs, as rows of sparse matrices.

TF-IDF with sublinear counts, rows of length 1: of words, 1 and 2 of them; of characters, 1 to 3,
where most letters are of a script without spaces. A pair has those by which its two texts differ,
those that they share, and how alike they are.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.scripts import WITHOUT_SPACES, character_class

_UNSPACED = re.compile(f"[{character_class(WITHOUT_SPACES)}]")
_LETTER = re.compile(r"[^\W\d_]")
_CHARACTERS, _WORDS = (1, 3), (1, 2)


class Features:
    """What the texts of some examples weigh; made by those it is to be fitted to.

    Raises:
        InputError: no text of theirs holds a letter or a digit.
    """

    def __init__(self, examples: Examples, *, characters: bool | None = None) -> None:
        texts = [*examples.texts, *(examples.pairs or ())]
        if characters is None:
            characters = is_unspaced(texts)
        self._vectorizer = TfidfVectorizer(
            analyzer="char" if characters else "word",
            ngram_range=_CHARACTERS if characters else _WORDS,
            sublinear_tf=True,
        )
        try:
            self._vectorizer.fit(texts)
        except ValueError as error:
            raise InputError(
                f"The {len(texts)} training texts hold nothing to weigh ({error}); expected words "
                "in some: check task.text."
            ) from error

    @property
    def count(self) -> int:
        """How many n-grams are known."""
        return len(self._vectorizer.vocabulary_)

    def of(self, examples: Examples) -> Any:
        """A row for each example; sparse float64 (N, features)."""
        first = self._vectorizer.transform(examples.texts)
        if not has_pairs(examples):
            return first
        second = self._vectorizer.transform(examples.pairs)
        shared = first.multiply(second)
        alike = sparse.csr_matrix(shared.sum(1))
        return sparse.hstack([abs(first - second), shared, alike], format="csr")

    def cosines(self, examples: Examples) -> np.ndarray:
        """How alike the texts of each pair are, 0 to 1; float64 (N,)."""
        first = self._vectorizer.transform(examples.texts)
        second = self._vectorizer.transform(examples.pairs)
        return np.asarray(first.multiply(second).sum(1)).ravel()


def has_pairs(examples: Examples) -> bool:
    """Whether the examples are pairs of texts."""
    return examples.pairs is not None


def is_unspaced(texts: Sequence[str]) -> bool:
    """Whether most letters of these texts are of scripts that set no spaces between words."""
    letters = sum(len(_LETTER.findall(each)) for each in texts)
    return 2 * sum(len(_UNSPACED.findall(each)) for each in texts) > letters
