"""The baselines: fitted to the training side, and what they predict of the others.

One thread and no random number: the same examples always give the same predictions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from corpusmill.model.baselines.config import BaselineJob, BaselineResult
from corpusmill.model.baselines.features import Features, Likeness, has_pairs
from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.predictions import (
    Predictions,
    gold_of,
    predictions_path,
    write_predictions,
)
from corpusmill.storage.examples.reading import (
    Examples,
    kind_of,
    label_names,
    read_examples,
)
from corpusmill.storage.examples.schema import Side, TaskKind
from corpusmill.storage.examples.subsets import read_training

SIDES: tuple[Side, ...] = ("validation", "test")
# As scikit-learn has it, the inverse of the penalty. Its default of 1 is too strong for rows of
# length 1; this one is the same for every set.
C = 30.0
_STEPS = 1_000
Predict = Callable[[Examples], np.ndarray]


def fit_baseline(job: BaselineJob) -> BaselineResult:
    """Fits a baseline and writes the predictions of both other sides into the job's directory.

    Of a side without examples there is no file.

    Raises:
        ArtifactError: the examples are damaged.
        InputError: there is none to learn from, or a label that is not among their names.
    """
    kind, names = kind_of(job.examples), label_names(job.examples)
    some = read_training(job.examples, job.baseline.share)
    if not len(some):
        raise InputError(
            f"{job.examples} has no training example; expected one at least: give task.train more."
        )
    gold = _gold(kind, names, some)
    features, predict = 0, _constant(_frequencies(kind, len(names), gold))
    if job.baseline.name == "tfidf":
        if kind == "regression" and has_pairs(some):
            predict = _line(some, gold)
        else:
            weighed = Features(some)
            features = weighed.count
            fit = _ridge if kind == "regression" else _logistic
            predict = fit(weighed, some, gold, len(names))
    for side in SIDES:
        examples = read_examples(job.examples, side)
        if len(examples):
            known = _gold(kind, names, examples)
            said = Predictions(kind, names, tuple(examples.ids), known, predict(examples))
            write_predictions(predictions_path(job.directory, side), said)
    return BaselineResult(examples=len(some), features=features)


def _gold(kind: TaskKind, names: tuple[str, ...], examples: Examples) -> np.ndarray:
    try:
        return gold_of(kind, names, examples.labels)
    except ValueError as error:
        raise InputError(
            f"In the labelled examples {error}; expected one of these: make the examples again."
        ) from error


def _constant(scores: np.ndarray) -> Predict:
    return lambda examples: np.broadcast_to(scores, (len(examples), *scores.shape))


def _frequencies(kind: TaskKind, labels: int, gold: np.ndarray) -> np.ndarray:
    """The share of examples that each label has, or the mean of a regression."""
    if kind == "classification":
        return np.bincount(gold, minlength=labels) / len(gold)
    mean: np.ndarray = gold.mean(0)
    return mean


def _logistic(features: Features, examples: Examples, gold: np.ndarray, labels: int) -> Predict:
    """A logistic regression: of all labels, or of each of several."""
    rows = features.of(examples)
    if gold.ndim == 1:
        fitted = _classes(rows, gold, labels)
        return lambda others: fitted(features.of(others))
    each = [_classes(rows, gold[:, number].astype(np.int64), 2) for number in range(labels)]

    def predict(others: Examples) -> np.ndarray:
        known = features.of(others)
        return np.column_stack([one(known)[:, 1] for one in each])

    return predict


def _classes(rows: Any, gold: np.ndarray, labels: int) -> Callable[[Any], np.ndarray]:
    """Probabilities of labels; those that no example has get 0."""
    there = np.unique(gold)
    if len(there) == 1:
        return lambda others: np.tile(np.arange(labels) == there[0], (others.shape[0], 1)) * 1.0
    model = LogisticRegression(C=C, max_iter=_STEPS).fit(rows, gold)

    def predict(others: Any) -> np.ndarray:
        scores = np.zeros((others.shape[0], labels))
        scores[:, there] = model.predict_proba(others)
        return scores

    return predict


def _ridge(features: Features, examples: Examples, gold: np.ndarray, _labels: int) -> Predict:
    model = Ridge(solver="sparse_cg").fit(features.of(examples), gold)
    return lambda others: np.asarray(model.predict(features.of(others)))


def _line(examples: Examples, gold: np.ndarray) -> Predict:
    """A line through how alike the texts of pairs are and what is said of them."""
    likeness = Likeness(examples)
    alike = likeness.of(examples)
    if alike.std() == 0:
        return _constant(gold.mean(0))
    slope, height = np.polyfit(alike, gold, 1).tolist()
    return lambda others: slope * likeness.of(others) + height
