"""Weighted n-grams of texts and of pairs, as rows of sparse matrices.

TF-IDF with sublinear counts, rows of length 1: of words, 1 and 2 of them; of characters, 1 to 3,
where most letters are of a script without spaces. A pair has those by which its two texts differ,
those that they share, and how alike they are, a third of each; its characters are 1 and 2, for
little of three is shared.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.scripts import WITHOUT_SPACES, character_class

_UNSPACED = re.compile(f"[{character_class(WITHOUT_SPACES)}]")
_LETTER = re.compile(r"[^\W\d_]")
_CHARACTERS, _CHARACTERS_OF_PAIRS, _WORDS = (1, 3), (1, 2), (1, 2)


class Features:
    """What the texts of some examples weigh; made by those that a model is to be fitted to.

    Raises:
        InputError: none of their texts holds a word.
    """

    def __init__(self, examples: Examples) -> None:
        texts = [*examples.texts, *(examples.pairs or ())]
        self._pairs = has_pairs(examples)
        characters = _CHARACTERS_OF_PAIRS if self._pairs else _CHARACTERS
        unspaced = is_unspaced(texts)
        self._vectorizer = _fitted(unspaced, characters if unspaced else _WORDS, texts)

    @property
    def count(self) -> int:
        """How many n-grams are known."""
        return len(self._vectorizer.vocabulary_)

    def of(self, examples: Examples) -> Any:
        """A row for each example; sparse float64 (N, features)."""
        if not self._pairs:
            return self._vectorizer.transform(examples.texts)
        first, second = _of_pairs(self._vectorizer, examples)
        shared = first.multiply(second)
        alike = sparse.csr_matrix(shared.sum(1))
        parts = [normalize(abs(first - second)), normalize(shared), alike]
        return sparse.hstack(parts, format="csr") / len(parts)


class Likeness:
    """How alike the texts of pairs are by their characters, in any language.

    Raises:
        InputError: none of their texts holds a character.
    """

    def __init__(self, examples: Examples) -> None:
        texts = [*examples.texts, *(examples.pairs or ())]
        self._vectorizer = _fitted(True, _CHARACTERS, texts)

    def of(self, examples: Examples) -> np.ndarray:
        """The cosine of each pair, 0 to 1; float64 (N,)."""
        first, second = _of_pairs(self._vectorizer, examples)
        return np.asarray(first.multiply(second).sum(1)).ravel()


def has_pairs(examples: Examples) -> bool:
    """Whether the examples are pairs of texts."""
    return examples.pairs is not None


def is_unspaced(texts: Sequence[str]) -> bool:
    """Whether most letters of these texts are of scripts that set no spaces between words."""
    letters = sum(len(_LETTER.findall(each)) for each in texts)
    return 2 * sum(len(_UNSPACED.findall(each)) for each in texts) > letters


def _fitted(characters: bool, lengths: tuple[int, int], texts: Sequence[str]) -> Any:
    vectorizer = TfidfVectorizer(
        analyzer="char" if characters else "word", ngram_range=lengths, sublinear_tf=True
    )
    try:
        return vectorizer.fit(texts)
    except ValueError as error:
        raise InputError(
            f"The {len(texts)} training texts hold nothing to weigh ({error}); expected words "
            "in some: check task.text."
        ) from error


def _of_pairs(vectorizer: Any, examples: Examples) -> tuple[Any, Any]:
    first = vectorizer.transform(examples.texts)
    return first, vectorizer.transform(examples.pairs)
