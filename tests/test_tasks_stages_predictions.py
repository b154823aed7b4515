"""Intervals over examples and seeds, and the comparison of two systems, against known answers."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from corpusmill.model.evaluation.intervals import over_seeds
from corpusmill.model.tasks.metrics import Metric, deciding, value_of
from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.tasks.stages.predictions import compare_systems, figure_with_interval


def answered(right: np.ndarray) -> Predictions:
    """Predictions of two labels, right where it says so."""
    gold = np.arange(len(right)) % 2
    said = np.where(right, gold, 1 - gold)
    scores = np.column_stack([1.0 - said, said]) * 0.8 + 0.1
    return Predictions("classification", ("a", "b"), tuple(map(str, gold.cumsum())), gold, scores)


def valued(seed: int, examples: int, noise: float) -> Predictions:
    """Numbers, and predictions of them that are off by some noise."""
    gold = np.random.default_rng(0).normal(size=examples)
    scores = gold + noise * np.random.default_rng(seed).normal(size=examples)
    return Predictions("regression", (), tuple(map(str, range(examples))), gold, scores)


ACCURACY, SPEARMAN = deciding("classification", 2), deciding("regression", 0)


def test_the_interval_of_an_accuracy_is_that_of_the_binomial() -> None:
    right = np.arange(1200) < 1080
    found = figure_with_interval([answered(right)], ACCURACY)
    assert found.value == 0.9
    low, high = stats.binom.ppf([0.025, 0.975], 1200, 0.9) / 1200
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)


def test_the_interval_is_that_of_scipys_bootstrap() -> None:
    given = valued(1, 200, 0.7)

    def spearman(gold: np.ndarray, scores: np.ndarray) -> float:
        return float(stats.spearmanr(gold, scores)[0])

    wanted = stats.bootstrap(
        (given.gold, given.scores),
        spearman,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=0,
    ).confidence_interval
    found = figure_with_interval([given], SPEARMAN)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_seeds_little_else() -> None:
    given = [valued(1, 300, 1.0)]
    first, again = (figure_with_interval(given, SPEARMAN) for _ in range(2))
    other = figure_with_interval(given, SPEARMAN, seed=1)
    assert first == again != other
    assert other.low == pytest.approx(first.low, abs=0.005)


def test_a_pair_is_compared_by_the_examples_on_which_it_differs() -> None:
    numbers = np.arange(1000)
    ours, theirs = answered(numbers < 830), answered((numbers < 800) | (numbers >= 990))
    found = compare_systems([ours], [theirs], ACCURACY)
    # 30 won, 10 lost: Newcombe's interval is as wide to a tenth of a point.
    assert found.gain == pytest.approx(0.02)
    assert (found.low, found.high) == pytest.approx((0.008, 0.032), abs=0.0015)
    assert found.probability > 0.998
    reverse = compare_systems([theirs], [ours], ACCURACY)
    assert reverse.gain == pytest.approx(-0.02) and reverse.probability < 0.002


def test_a_system_against_itself_is_even() -> None:
    given = answered(np.arange(100) < 70)
    found = compare_systems([given], [given], ACCURACY)
    assert (found.gain, found.low, found.high, found.probability) == (0, 0, 0, 0.5)


def test_less_is_better_of_an_error() -> None:
    error = deciding("regression", 0, "mse")
    found = compare_systems([valued(1, 300, 0.5)], [valued(2, 300, 1.0)], error)
    assert found.ours < found.theirs and found.gain > 0 and found.low > 0
    assert found.probability == 1


def test_the_figure_of_several_runs_is_their_mean() -> None:
    runs = [valued(seed, 300, 1.0) for seed in (1, 2, 3)]
    found = figure_with_interval(runs, SPEARMAN)
    assert found.value == pytest.approx(np.mean([value_of(SPEARMAN, each) for each in runs]))
    alone = figure_with_interval(runs[:1], SPEARMAN)
    assert found.high - found.low < alone.high - alone.low
    assert compare_systems(runs, [valued(9, 300, 3.0)], SPEARMAN).low > 0


def test_runs_of_other_examples_are_refused() -> None:
    given = answered(np.arange(100) < 70)
    for other in (replace(given, ids=given.ids[::-1]), answered(np.arange(99) < 70)):
        with pytest.raises(InputError, match="expected the same: predict one file with both"):
            compare_systems([given], [other], ACCURACY)


def test_draws_without_a_value_are_left_out() -> None:
    # One positive of 20: a third of the draws have none, and no AUC.
    gold = np.arange(20) == 19
    scores = np.column_stack([np.linspace(1, 0, 20), np.linspace(0, 1, 20)])
    given = Predictions("classification", ("a", "b"), tuple("x" * 20), gold.astype(int), scores)
    found = figure_with_interval([given], deciding("classification", 2, "auc"), resamples=500)
    assert (found.value, found.high) == (1, 1) and not math.isnan(found.low)


@pytest.mark.parametrize("metric", [ACCURACY, deciding("classification", 2, "auc")])
def test_memory_is_bounded_whatever_the_number_of_examples(metric: Metric) -> None:
    generator = np.random.default_rng(0)
    given = answered(generator.random(20_000) < 0.7)
    given = replace(given, scores=given.scores + generator.random(given.scores.shape) / 100)
    tracemalloc.start()
    try:
        figure_with_interval([given], metric, resamples=200)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_seeds_are_averaged_with_students_interval() -> None:
    figures = [0.774, 0.782, 0.789]
    found = over_seeds(figures)
    wanted = stats.t.interval(0.95, 2, loc=np.mean(figures), scale=stats.sem(figures))
    assert found.mean == pytest.approx(np.mean(figures)) and found.seeds == 3
    assert found.half_width == pytest.approx((wanted[1] - wanted[0]) / 2)
    assert over_seeds([0.5]).half_width is None
    assert over_seeds([0.5, 0.5]).half_width == 0
