"""Figures of predictions with their intervals, and whether one system's are better than another's.

A bootstrap over examples (Efron 1979): N of N are drawn with replacement, and the figure is worked
out anew. A system may have several runs, from several seeds: its figure is then the mean of theirs,
each of the same examples drawn. How far seeds alone make it vary, `over_seeds` says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.model.tasks.metrics import Metric, value_of
from corpusmill.storage.examples.predictions import Predictions, check_same_examples
from corpusmill.tasks.stages.resampling import draw_times

RESAMPLES = 10_000
_PERCENTILES = (2.5, 97.5)
_CELLS = 1 << 20  # of a matrix of draws at once
# An accuracy reads two kinds of examples, right and wrong: how often each is drawn is one number a
# kind, which takes the time of some examples.
_WORTH = 8


@dataclass(frozen=True)
class Figure:
    """A figure of a system.

    Attributes:
        value: of all examples; the mean over its runs.
        low, high: its interval of 95 % over examples, by percentiles.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Two systems on the same examples.

    Attributes:
        ours, theirs: the figure of each; the mean over its runs.
        gain: by how much ours is better, in the figure's unit; below 0 it is worse.
        low, high: its interval of 95 % over examples, by percentiles.
        probability: share of the draws in which ours is better; of those that are equal, half.
    """

    ours: float
    theirs: float
    gain: float
    low: float
    high: float
    probability: float


def figure_with_interval(
    runs: Sequence[Predictions], metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0
) -> Figure:
    """A figure of the runs of a system.

    Draws in which it has no value, such as an AUC of one label alone, are left out; without any
    other, the ends of the interval are NaN.

    Raises:
        InputError: the runs are of different examples.
    """
    values = resampled([runs], metric, resamples, seed)[0]
    low, high = interval_of(values)
    return Figure(_mean_value(runs, metric), low, high)


def compare_systems(
    ours: Sequence[Predictions],
    theirs: Sequence[Predictions],
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Two systems by a paired bootstrap: both have the same examples drawn.

    Args:
        ours, theirs: the runs of each, of one number or of two.

    Raises:
        InputError: not all runs are of the same examples.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    mine, its = resampled([ours, theirs], metric, resamples, seed)
    gains = sign * (mine - its)
    gains = gains[~np.isnan(gains)]
    low, high = interval_of(gains)
    one, other = _mean_value(ours, metric), _mean_value(theirs, metric)
    better = float((gains > 0).mean() + (gains == 0).mean() / 2) if len(gains) else 0.5
    return Difference(one, other, sign * (one - other), low, high, better)


def _mean_value(runs: Sequence[Predictions], metric: Metric) -> float:
    return float(np.mean([value_of(metric, each) for each in runs]))


def interval_of(values: np.ndarray) -> tuple[float, float]:
    """The interval of 95 % of a figure's values in draws; NaN where none has one."""
    there = values[~np.isnan(values)]
    if not len(there):
        return float("nan"), float("nan")
    low, high = np.percentile(there, _PERCENTILES).tolist()
    return low, high


def resampled(
    systems: Sequence[Sequence[Predictions]], metric: Metric, resamples: int, seed: int
) -> list[np.ndarray]:
    """The figure of each system in each draw, which is one for all; float64 (resamples,).

    Raises:
        InputError: not all runs are of the same examples.
    """
    every = [run for runs in systems for run in runs]
    for run in every[1:]:
        check_same_examples(every[0], run)
    read = [metric.reads(run) for run in every]
    rows = np.column_stack(read)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    if len(kinds) * _WORTH <= len(rows):
        rows, draws = kinds, _draws_of_kinds(counts, resamples, seed)
    else:
        draws = _draws(len(rows), resamples, seed)
    parts = np.split(rows, np.cumsum([each.shape[1] for each in read])[:-1], axis=1)
    figures = np.concatenate(
        [np.stack([metric.of(part, times) for part in parts]) for times in draws],
        axis=1,
    )
    bounds = np.cumsum([len(runs) for runs in systems])[:-1]
    return [each.mean(0) for each in np.split(figures, bounds)]


def _draws(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each example is drawn; float64 (R, examples), some draws at a time."""
    generator = np.random.default_rng(seed)
    for size in _sizes(resamples, examples):
        yield draw_times(generator, np.full(size, examples), examples).astype(np.float64)


def _draws_of_kinds(counts: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often equal examples are drawn, of which there are so many; float64 (R, kinds)."""
    generator = np.random.default_rng(seed)
    examples = int(counts.sum())
    for size in _sizes(resamples, len(counts)):
        yield generator.multinomial(examples, counts / examples, size).astype(np.float64)


def _sizes(resamples: int, width: int) -> Iterator[int]:
    step = max(1, _CELLS // width)
    for first in range(0, resamples, step):
        yield min(step, resamples - first)
