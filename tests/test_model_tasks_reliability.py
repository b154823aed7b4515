"""Reliability: the error of its bins is the figure of metrics, and what was scaled is had back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.tasks.metrics import figures_of
from corpusmill.model.tasks.reliability import calibration_error, reliability, unscaled
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.schema import TaskKind

LOGITS = st.lists(st.tuples(*[st.floats(-20, 20)] * 3, st.integers(0, 2)), min_size=1, max_size=20)
TEMPERATURES = st.floats(0.25, 4)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    shares: np.ndarray = weights / weights.sum(1, keepdims=True)
    return shares


def said(scores: np.ndarray, gold: np.ndarray) -> Predictions:
    ids = tuple(map(str, range(len(scores))))
    kind: TaskKind = "several" if gold.ndim == 2 else "classification"
    return Predictions(kind, ("a", "b", "c"), ids, gold, scores)


@given(LOGITS, TEMPERATURES)
def test_what_was_scaled_is_had_back(
    rows: list[tuple[float, float, float, int]], temperature: float
) -> None:
    logits = np.array([row[:3] for row in rows])
    gold = np.array([row[3] for row in rows])
    found = unscaled(said(softmax(logits / temperature), gold), temperature)
    assert found.scores == pytest.approx(softmax(logits), abs=1e-9)
    several = np.arange(3) == gold[:, None]
    sure = 1 / (1 + np.exp(-logits / temperature))
    found = unscaled(said(sure, several), temperature)
    # Of a probability that is nearly one few digits say how nearly.
    assert found.scores == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-4)


def test_what_was_certain_stays_so() -> None:
    certain = said(np.array([[1.0, 0.0, 0.0]]), np.array([0]))
    assert unscaled(certain, 2.0).scores.tolist() == [[1, 0, 0]]
    several = replace(certain, kind="several", gold=np.array([[True, False, False]]))
    assert unscaled(several, 2.0).scores == pytest.approx(np.array([[1, 0, 0]]))


@given(LOGITS)
def test_the_error_of_the_bins_is_the_figure(rows: list[tuple[float, float, float, int]]) -> None:
    answers = said(softmax(np.array([row[:3] for row in rows])), np.array([row[3] for row in rows]))
    bins = reliability(answers)
    assert sum(each.answers for each in bins) == len(rows)
    assert calibration_error(bins) == pytest.approx(figures_of(answers)["ece"], abs=1e-12)


def test_of_several_labels_each_is_an_answer() -> None:
    gold = np.array([[True, False, True]])
    [low, high] = reliability(said(np.array([[0.9, 0.4, 0.1]]), gold))
    assert (low.confidence, low.accuracy, low.answers) == (0.6, 1.0, 1)
    assert (high.confidence, high.accuracy, high.answers) == (0.9, 0.5, 2)
