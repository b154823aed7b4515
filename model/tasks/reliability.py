"""Whether answers are right as often as they are sure, before and after their scaling. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from corpusmill.model.tasks.metrics import BINS, predicted
from corpusmill.storage.examples.predictions import Predictions


@dataclass(frozen=True)
class Bin:
    """Answers that are about as sure.

    Attributes:
        confidence: their mean probability.
        accuracy: the share of them that is right.
        answers: their number.
    """

    confidence: float
    accuracy: float
    answers: int


def unscaled(predictions: Predictions, temperature: float) -> Predictions:
    """What was said before the logits were divided by a temperature.

    Probabilities hold their logits up to a constant, which changes none of them: of labels that
    exclude each other p^T, made to add up to one; of several labels σ(T · logit p).
    """
    with np.errstate(divide="ignore"):
        logits = np.log(predictions.scores)
        if predictions.kind == "several":
            logits = logits - np.log1p(-predictions.scores)
            scores = 1 / (1 + np.exp((-temperature * logits).clip(-700, 700)))
            return replace(predictions, scores=scores)
    weights = np.exp(temperature * (logits - logits.max(1, keepdims=True)))
    return replace(predictions, scores=weights / weights.sum(1, keepdims=True))


def reliability(predictions: Predictions) -> tuple[Bin, ...]:
    """The answers in 15 bins of confidence, those that hold any, the least sure first.

    Guo et al. 2017, §2. Of several labels each is an answer, that it holds or that it does not.
    """
    confidence, right = _answers(predictions)
    number = np.ceil(confidence * BINS).clip(1, BINS).astype(np.int64) - 1
    counts = np.bincount(number, minlength=BINS)
    sums = [np.bincount(number, weights, BINS) for weights in (confidence, right)]
    return tuple(
        Bin(float(sure / count), float(good / count), int(count))
        for count, sure, good in zip(counts, *sums, strict=True)
        if count
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error of all answers of these bins; NaN without any."""
    answers = sum(each.answers for each in bins)
    apart = sum(each.answers * abs(each.accuracy - each.confidence) for each in bins)
    return apart / answers if answers else float("nan")


def _answers(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """How sure each answer is, and whether it is right; float64 and bool (answers,)."""
    right = predicted(predictions) == predictions.gold
    if predictions.kind == "several":
        scores = predictions.scores
        return np.maximum(scores, 1 - scores).ravel(), right.ravel()
    return predictions.scores.max(1), right
