"""Figures that depend on order alone, and correlations, for draws of examples. No torch.

As in `corpusmill.model.tasks.metrics`: `times` says how often each of N examples is drawn, in each
of R draws; float64 (R, N).
"""

from collections.abc import Callable

import numpy as np


def auc(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How likely a positive example scores above a negative one; ties count half.

    Args:
        rows: scores, and 1 for a positive; float64 (N, 2).

    Returns:
        float64 (R,), NaN where only one of both is drawn.
    """
    positive, every = _by_score(rows, times)
    negative = every - positive
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(1) * negative.sum(1)
    won = (positive * (below + negative / 2)).sum(1)
    likely: np.ndarray = np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs > 0)
    return likely


def average_precision(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The mean precision at each positive, from the highest score on; equal scores count as one.

    Args:
        rows: scores, and 1 for a positive; float64 (N, 2).

    Returns:
        float64 (R,), 0 where no positive is drawn.
    """
    positive, every = (each[:, ::-1] for each in _by_score(rows, times))
    found, seen = np.cumsum(positive, axis=1), np.cumsum(every, axis=1)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    recall = positive / np.maximum(positive.sum(1, keepdims=True), 1)
    mean: np.ndarray = (recall * precision).sum(1)
    return mean


def auc_macro(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean over the labels that some examples have and others not, each against the rest.

    Args:
        rows: scores of K labels, then which hold; float64 (N, 2K).
    """
    found = _by_label(auc, rows, times)
    there = ~np.isnan(found)
    total, labels = np.where(there, found, 0).sum(1), there.sum(1)
    mean: np.ndarray = np.divide(total, labels, out=np.full_like(total, np.nan), where=labels > 0)
    return mean


def average_precision_macro(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean over all labels.

    Args:
        rows: scores of K labels, then which hold; float64 (N, 2K).
    """
    mean: np.ndarray = _by_label(average_precision, rows, times).mean(1)
    return mean


def pearson(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The correlation of two values of each example; 0 where one of them never changes.

    Args:
        rows: float64 (N, 2).
    """
    return _correlation(rows[None, :, 0], rows[None, :, 1], times)


def spearman(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The correlation of ranks, equal values having the mean of theirs; 0 as of Pearson's.

    Args:
        rows: float64 (N, 2).
    """
    return _correlation(_ranks(rows[:, 0], times), _ranks(rows[:, 1], times), times)


def _by_label(
    figure: Callable[[np.ndarray, np.ndarray], np.ndarray], rows: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """A figure of each label; float64 (R, K)."""
    labels = rows.shape[1] // 2
    return np.column_stack([figure(rows[:, [n, labels + n]], times) for n in range(labels)])


def _by_score(rows: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many positives, and how many examples, have each score, rising; float64 (R, scores)."""
    order, starts, _ = _grouped(rows[:, 0])
    drawn = times[:, order]
    positive = np.add.reduceat(drawn * rows[order, 1], starts, axis=1)
    return positive, np.add.reduceat(drawn, starts, axis=1)


def _ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    order, starts, group = _grouped(values)
    every = np.add.reduceat(times[:, order], starts, axis=1)
    ranks: np.ndarray = np.cumsum(every, axis=1) - (every - 1) / 2
    return ranks[:, group]


def _grouped(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An order that rises, where in it each new value begins, and which value each one has."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.argsort(values, kind="stable"), np.cumsum(counts) - counts, group


def _correlation(first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
    one, other = _centred(first, times), _centred(second, times)
    spread = np.sqrt((times * one**2).sum(1)) * np.sqrt((times * other**2).sum(1))
    together = (times * one * other).sum(1)
    found: np.ndarray = np.divide(together, spread, out=np.zeros_like(together), where=spread > 0)
    return found.clip(-1, 1)


def _centred(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values less their mean; of one that never changes 0, whatever the mean is rounded to."""
    mean = (times * values).sum(1) / times.sum(1)
    centred: np.ndarray = values - mean[:, None]
    drawn = times > 0
    high = np.where(drawn, values, -np.inf).max(1)
    low = np.where(drawn, values, np.inf).min(1)
    centred[high == low] = 0.0
    return centred
