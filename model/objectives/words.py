"""Which tokens make up a word."""

from collections.abc import Callable
from functools import cache

import numpy as np

from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.storage.errors import ConfigError


def word_numbers(ids: np.ndarray, places: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """The word of each token, counted from 0; int64 (tokens,).

    Chinese has no spaces, and its tokens are characters: what of them is a word, `rjieba` says.

    Args:
        ids: of tokens in their order.
        places: where they stand; what does not stand together makes up no word.
    """
    joined = vocabulary.continues[ids].copy()
    joined[1:] &= np.diff(places) == 1
    joined[:1] = False
    texts = [vocabulary.tokens[number] for number in ids.tolist()]
    ideographs = np.array([len(text) == 1 and _is_ideograph(text) for text in texts], bool)
    if ideographs.any():
        _join_chinese(texts, ideographs, np.diff(places, prepend=places[:1] - 2) == 1, joined)
    numbers: np.ndarray = np.cumsum(~joined) - 1
    return numbers


def _join_chinese(
    texts: list[str], ideographs: np.ndarray, adjacent: np.ndarray, joined: np.ndarray
) -> None:
    """Marks each character that goes on with the word of the one before it."""
    segment = _segmenter()
    begins = ideographs & ~(np.concatenate([[False], ideographs[:-1]]) & adjacent)
    starts = np.flatnonzero(begins)
    for start in starts.tolist():
        end = start + 1
        while end < len(texts) and ideographs[end] and not begins[end]:
            end += 1
        place = start
        for word in segment("".join(texts[start:end])):
            joined[place + 1 : place + len(word)] = True
            place += len(word)


def _is_ideograph(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


@cache
def _segmenter() -> Callable[[str], list[str]]:
    try:
        import rjieba
    except ImportError as error:
        raise ConfigError(
            "train.objectives asks for whole_words and the text is Chinese, but rjieba, which "
            "says what is a word there, is not installed; pip install 'corpusmill[fast]'."
        ) from error
    segment: Callable[[str], list[str]] = rjieba.cut
    return segment
