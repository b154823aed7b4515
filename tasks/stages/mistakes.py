"""The mistakes that a model was surest of, or that are furthest from what a person says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.model.tasks.metrics import predicted
from corpusmill.storage.examples.predictions import Predictions


@dataclass(frozen=True)
class Mistake:
    """An answer that is wrong.

    Attributes:
        row: number of the example on its side.
        said, gold: what the model says, and what a person does.
        size: the probability of the label that is said; of several labels, of the wrong decision
            that is surest; of a number, how far it is off.
    """

    row: int
    said: str
    gold: str
    size: float


def worst_mistakes(predictions: Predictions, most: int) -> list[Mistake]:
    """At most so many, the greatest first; of numbers any that is off at all is one."""
    sizes = _sizes(predictions)
    order = np.argsort(-sizes, kind="stable")[:most]
    rows = [row for row in order.tolist() if sizes[row] > 0]
    return [
        Mistake(row, _said(predictions, row), _gold(predictions, row), float(sizes[row]))
        for row in rows
    ]


def named(labels: Sequence[str]) -> str:
    """Several labels, or that there are none."""
    return ", ".join(labels) or "none"


def _sizes(predictions: Predictions) -> np.ndarray:
    """How great a mistake each answer is, 0 of those that are right; float64 (N,)."""
    scores, gold = predictions.scores, predictions.gold
    if predictions.kind == "regression":
        off: np.ndarray = np.abs(scores - gold)
        return off
    wrong = predicted(predictions) != gold
    if predictions.kind == "several":
        surest: np.ndarray = (np.maximum(scores, 1 - scores) * wrong).max(1)
        return surest
    likeliest: np.ndarray = scores.max(1) * wrong
    return likeliest


def _said(predictions: Predictions, row: int) -> str:
    match predictions.kind:
        case "regression":
            return f"{predictions.scores[row]:.3g}"
        case "several":
            return _held(predictions, predicted(predictions)[row])
        case "classification":
            return predictions.labels[int(predictions.scores[row].argmax())]


def _gold(predictions: Predictions, row: int) -> str:
    match predictions.kind:
        case "regression":
            return f"{predictions.gold[row]:.3g}"
        case "several":
            return _held(predictions, predictions.gold[row])
        case "classification":
            return predictions.labels[int(predictions.gold[row])]


def _held(predictions: Predictions, holds: np.ndarray) -> str:
    return named([predictions.labels[number] for number in np.flatnonzero(holds).tolist()])
