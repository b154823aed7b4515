"""The figures that decide, worked out from sums over blocks of held-out text. No torch.

Statistics of a block, by figure:

- bits_per_byte: bits, those of lost bytes among them.
- masked_accuracy, span_perplexity: nats of what is predicted, and how much of it is right.
- bleu: words of the translation and of the reference; then n-grams that both have, and all of the
  translation, of 1 to 4 words. Behind them those of chrF: character n-grams of the translation, of
  the reference and of both, for 1 to 6 characters.

R is the number of sums: a figure is worked out for as many draws of blocks at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from corpusmill.storage import metrics
from corpusmill.storage.errors import ModelError

_WORDS = 4  # of the longest n-grams of BLEU
_CHARACTERS = 6  # of chrF
_BETA = 2  # weight of recall in chrF (Popović 2015)
BLEU_STATISTICS = 2 + 2 * _WORDS
CHRF_STATISTICS = 3 * _CHARACTERS


@dataclass(frozen=True)
class Sums:
    """Sums over blocks.

    Attributes:
        statistics: float64 (R, statistics).
        predictions, bytes: float64 (R,).
    """

    statistics: np.ndarray
    predictions: np.ndarray
    bytes: np.ndarray


@dataclass(frozen=True)
class Figure:
    """A figure by which two models are compared on parts of the held-out text.

    Attributes:
        name: of it.
        of: its values; float64 (R,).
        beside: others that the same sums give, by name.
    """

    name: str
    of: Callable[[Sums], np.ndarray]
    higher_is_better: bool = False
    beside: Mapping[str, Callable[[Sums], np.ndarray]] = field(default_factory=dict)


def figure_for(decides: str) -> Figure:
    """By what models are compared whose evaluations are decided by this figure.

    An encoder's are compared by its masked loss: an accuracy changes only where another token
    becomes the likeliest, and needs more text to show the same.

    Raises:
        ModelError: no statistics are kept of it.
    """
    if decides not in _FIGURES:
        raise ModelError(
            f"An evaluation is decided by {decides}; expected one of {', '.join(_FIGURES)}: "
            "evaluate again."
        )
    return _FIGURES[decides]


def _bits_per_byte(sums: Sums) -> np.ndarray:
    return _ratio(sums.statistics[:, 0], sums.bytes)


def _loss(sums: Sums) -> np.ndarray:
    return _ratio(sums.statistics[:, 0], sums.predictions)


def _perplexity(sums: Sums) -> np.ndarray:
    perplexity: np.ndarray = np.exp(np.minimum(_loss(sums), 700))
    return perplexity


def _accuracy(sums: Sums) -> np.ndarray:
    return _ratio(sums.statistics[:, 1], sums.predictions)


def bleu(sums: Sums) -> np.ndarray:
    """BLEU of a corpus (Papineni et al. 2002), 0 to 100, as sacreBLEU smooths it.

    Where no n-gram of a length is right, half a one is taken for right, of the next such length a
    quarter, and so on (Chen and Cherry 2014, method 3).
    """
    written, wanted = sums.statistics[:, 0], sums.statistics[:, 1]
    right = sums.statistics[:, 2 : 2 + _WORDS]
    there = sums.statistics[:, 2 + _WORDS : BLEU_STATISTICS]
    none = right == 0
    smoothed = np.where(none, 0.5 ** np.cumsum(none, axis=1), right)
    precision = np.log(_ratio(smoothed, there), where=there > 0, out=np.full(there.shape, -np.inf))
    shorter = np.minimum(0.0, 1.0 - _ratio(wanted, written))
    score: np.ndarray = 100 * np.exp(shorter + precision.mean(1))
    return np.where(right.any(1), score, 0.0)


def chrf(sums: Sums) -> np.ndarray:
    """chrF2 of a corpus (Popović 2015), 0 to 100, as sacreBLEU works it out.

    The mean of precision and that of recall are over the lengths that both texts have.
    """
    grams = sums.statistics[:, BLEU_STATISTICS:].reshape(-1, _CHARACTERS, 3)
    written, wanted, right = (grams[:, :, kind] for kind in range(3))
    both = (written > 0) & (wanted > 0)
    lengths = both.sum(1)
    precision, recall = (
        _ratio(np.where(both, _ratio(right, each), 0.0).sum(1), lengths)
        for each in (written, wanted)
    )
    score: np.ndarray = _ratio((1 + _BETA**2) * precision * recall, _BETA**2 * precision + recall)
    return 100 * score


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """0 where there is nothing."""
    ratio: np.ndarray = np.divide(part, whole, where=whole > 0, out=np.zeros(np.shape(part)))
    return ratio


_FIGURES: Mapping[str, Figure] = {
    metrics.BITS_PER_BYTE: Figure(metrics.BITS_PER_BYTE, _bits_per_byte),
    metrics.MASKED_ACCURACY: Figure(
        metrics.LOSS, _loss, beside={metrics.MASKED_ACCURACY: _accuracy}
    ),
    metrics.SPAN_PERPLEXITY: Figure(
        metrics.SPAN_PERPLEXITY, _perplexity, beside={metrics.SPAN_ACCURACY: _accuracy}
    ),
    metrics.BLEU: Figure(metrics.BLEU, bleu, higher_is_better=True, beside={metrics.CHRF: chrf}),
}
