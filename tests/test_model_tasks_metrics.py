"""The figures of labelled work are those of scikit-learn and scipy, whatever is predicted."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as theirs

from corpusmill.model.tasks.metrics import deciding, figures_of, metrics_of, value_of
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.examples.predictions import Predictions

# What is left of a double when some hundred numbers are added in another order.
REL, ABS = 1e-12, 1e-14


def classified(seed: int, labels: int, examples: int = 60, grid: int = 0) -> Predictions:
    """Predictions drawn at random, some of them right; on a grid many scores are equal."""
    generator = np.random.default_rng(seed)
    scores = generator.dirichlet(np.ones(labels), examples)
    if grid:
        scores = generator.multinomial(grid, np.ones(labels) / labels, examples) / grid
    gold = np.append(np.arange(labels), generator.integers(labels, size=examples - labels))
    names = tuple(f"label {number}" for number in range(labels))
    ids = tuple(map(str, range(examples)))
    return Predictions("classification", names, ids, gold, scores)


def several(seed: int, labels: int, examples: int = 60, grid: int = 0) -> Predictions:
    """The same of examples that have several labels each."""
    generator = np.random.default_rng(seed)
    scores = generator.random((examples, labels))
    if grid:
        scores = generator.integers(grid + 1, size=(examples, labels)) / grid
    gold = generator.random((examples, labels)) < 0.4
    gold[0], gold[1] = True, False
    names = tuple(f"label {number}" for number in range(labels))
    return Predictions("several", names, tuple(map(str, range(examples))), gold, scores)


def regressed(seed: int, examples: int = 60, grid: int = 0) -> Predictions:
    """The same of numbers."""
    generator = np.random.default_rng(seed)
    gold = generator.random(examples) * 5
    scores = gold + generator.normal(size=examples)
    if grid:
        gold, scores = np.round(gold * grid) / grid, np.round(scores * grid) / grid
    return Predictions("regression", (), tuple(map(str, range(examples))), gold, scores)


def of_classes(some: Predictions) -> Mapping[str, float]:
    gold, scores = some.gold, some.scores
    said, two = scores.argmax(1), scores.shape[1] == 2
    found = {
        "accuracy": theirs.accuracy_score(gold, said),
        "f1_macro": theirs.f1_score(gold, said, average="macro"),
        "matthews": theirs.matthews_corrcoef(gold, said),
        "nll": theirs.log_loss(gold, scores, labels=range(scores.shape[1])),
        "auc": theirs.roc_auc_score(gold, scores[:, 1])
        if two
        else theirs.roc_auc_score(gold, scores, multi_class="ovr"),
    }
    return found | ({"f1": theirs.f1_score(gold, said)} if two else {})


def of_several(some: Predictions) -> Mapping[str, float]:
    gold, scores = some.gold, some.scores
    said = scores >= 0.5
    return {
        "f1_micro": theirs.f1_score(gold, said, average="micro"),
        "f1_macro": theirs.f1_score(gold, said, average="macro"),
        "accuracy": theirs.accuracy_score(gold, said),
        "auc": theirs.roc_auc_score(gold, scores),
        "average_precision": theirs.average_precision_score(gold, scores),
    }


def of_numbers(some: Predictions) -> Mapping[str, float]:
    return {
        "spearman": stats.spearmanr(some.scores, some.gold)[0],
        "pearson": stats.pearsonr(some.scores, some.gold)[0],
        "mse": theirs.mean_squared_error(some.gold, some.scores),
    }


SEEDS = st.integers(0, 2**32 - 1)
GRIDS = st.sampled_from([0, 2, 7])


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 7), GRIDS)
def test_figures_of_classes_are_those_of_scikit_learn(seed: int, labels: int, grid: int) -> None:
    some = classified(seed, labels, grid=grid)
    found, wanted = figures_of(some), of_classes(some)
    assert found.keys() == wanted.keys() | {"ece"}
    assert found["accuracy"] == wanted["accuracy"]
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=REL, abs=ABS), name


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 7), GRIDS)
def test_figures_of_several_labels_are_those_of_scikit_learn(
    seed: int, labels: int, grid: int
) -> None:
    some = several(seed, labels, grid=grid)
    found, wanted = figures_of(some), of_several(some)
    if labels == 1:  # which scikit-learn takes for two classes
        found, wanted = ({n: each[n] for n in ("auc", "accuracy")} for each in (found, wanted))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=REL, abs=ABS), name


@settings(max_examples=40, deadline=None)
@given(SEEDS, GRIDS)
def test_figures_of_numbers_are_those_of_scipy_and_scikit_learn(seed: int, grid: int) -> None:
    some = regressed(seed, grid=grid)
    found, wanted = figures_of(some), of_numbers(some)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=REL, abs=ABS), name


def every_kind(seed: int, grid: int) -> Iterator[Predictions]:
    yield classified(seed, 2, grid=grid)
    yield classified(seed, 5, grid=grid)
    yield several(seed, 3, grid=grid)
    yield regressed(seed, grid=grid)


@settings(max_examples=20, deadline=None)
@given(SEEDS, GRIDS)
def test_an_example_drawn_twice_counts_as_if_it_stood_there_twice(seed: int, grid: int) -> None:
    generator = np.random.default_rng(seed)
    for some in every_kind(seed, grid):
        times = generator.integers(3, size=len(some))
        rows = np.repeat(np.arange(len(some)), times)
        drawn = replace(
            some,
            ids=tuple(map(str, range(len(rows)))),
            gold=some.gold[rows],
            scores=some.scores[rows],
        )
        for metric in metrics_of(some.kind, len(some.labels)):
            [weighed] = metric.of(metric.reads(some), times[None].astype(float))
            repeated = value_of(metric, drawn)
            assert weighed == pytest.approx(repeated, nan_ok=True, rel=1e-10, abs=1e-12)


def test_a_constant_scorer_is_worth_nothing() -> None:
    some = regressed(0)
    flat = figures_of(replace(some, scores=np.full(len(some), 0.1)))
    assert (flat["spearman"], flat["pearson"]) == (0, 0)
    two = classified(0, 2)
    flat = figures_of(replace(two, scores=np.full(two.scores.shape, 0.5)))
    assert (flat["auc"], flat["matthews"], flat["f1"]) == (0.5, 0, 0)


def test_a_label_that_is_taken_for_impossible_costs_what_it_does_in_scikit_learn() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    some = Predictions("classification", ("a", "b"), ("1", "2"), np.array([0, 1]), sure)
    assert figures_of(some)["nll"] == pytest.approx(theirs.log_loss([0, 1], sure), rel=REL, abs=ABS)


def test_a_figure_without_a_value_is_left_out() -> None:
    one = replace(classified(0, 3), gold=np.zeros(60, np.int64))
    assert "auc" not in figures_of(one) and "accuracy" in figures_of(one)


def test_the_calibration_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    # Two bins: of 0.6 half are right, of 0.9 all.
    scores = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.1, 0.9]])
    gold = np.array([0, 1, 0, 1])
    some = Predictions("classification", ("a", "b"), tuple("1234"), gold, scores)
    assert figures_of(some)["ece"] == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)


def test_another_figure_may_decide_and_one_of_another_kind_is_refused() -> None:
    assert [deciding(each.kind, len(each.labels)).name for each in every_kind(0, 0)] == [
        "accuracy",
        "accuracy",
        "f1_micro",
        "spearman",
    ]
    assert deciding("classification", 2, "matthews").name == "matthews"
    with pytest.raises(ConfigError, match="'f1' is no figure of a classification with 3 labels"):
        deciding("classification", 3, "f1")
    assert not math.isnan(value_of(deciding("classification", 2, "f1"), classified(1, 2)))
