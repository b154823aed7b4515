"""What a search tries, and which trial it takes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.flows.overrides import override
from corpusmill.flows.recipes.tasks import classify
from corpusmill.flows.task_config import FinetuneConfig, fitted, trials_of
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.errors import ConfigError, InputError
from corpusmill.tasks.stages.search import SearchConfig, Trial, Tried, best_first, drawn, together

NAMED = {"task.train": "/rows.jsonl", "train.hardware.precision": "fp32"}
RATES = st.lists(st.floats(1e-6, 1), min_size=0, max_size=4)


@given(st.integers(1, 40), RATES, RATES, st.integers(0, 9))
def test_combinations_are_drawn_once_each_and_alike_for_one_seed(
    trials: int, rates: list[float], epochs: list[float], seed: int
) -> None:
    search = SearchConfig(trials=trials, learning_rates=tuple(rates), epochs=tuple(epochs))
    found = drawn(search, seed)
    assert found == drawn(search, seed)
    every = max(1, len(set(rates))) * max(1, len(set(epochs)))
    assert len(found) == len({tuple(each.items()) for each in found}) == min(trials, every)


def test_another_seed_draws_other_combinations() -> None:
    search = SearchConfig(trials=4, epochs=(1, 2, 3, 4), layer_decays=(0.6, 0.8))
    assert drawn(search, 0) != drawn(search, 1)


def _config(**dotted: Any) -> FinetuneConfig:
    given = {key.replace("__", "."): value for key, value in dotted.items()}
    return override(classify(), {**NAMED, **given})


def test_a_trial_has_the_steps_of_its_epochs_and_all_else_of_the_config() -> None:
    config = _config(
        search__learning_rates=[1e-4], search__epochs=[2, 3], search__layer_decays=[0.8]
    )
    train = fitted(config, 320, 50)
    two, three = trials_of(config, train, 320, 50)
    assert two.name == "learning_rate 0.0001, epochs 2, layer_decay 0.8"
    assert (two.config.max_steps, three.config.max_steps) == (40, 60)
    assert (two.config.schedule.warmup_steps, two.config.validation.every) == (4, 20)
    changed = {"max_steps", "optimizer", "schedule"}
    assert two.config.model_dump(exclude=changed) == train.model_dump(exclude=changed)
    assert two.config.optimizer.learning_rate == 1e-4


def test_the_combination_of_the_config_itself_is_that_config() -> None:
    config = _config(search__learning_rates=[1e-3], search__epochs=[4])
    train = fitted(config, 320, 50)
    [trial] = trials_of(config, train, 320, 50)
    assert trial.config == train


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": None, "search__trials": 3}, "search.epochs .* would change it; set search.ep"),
        ({"search__trials": 0}, "search.trials"),
        ({"search__layer_decays": [1.5]}, "search.layer_decays"),
        ({"search__rates": [1e-3]}, "did you mean 'search.learning_rates'"),
    ],
)
def test_a_search_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _config(**given)


def test_muon_has_no_decay_of_layers_to_try() -> None:
    config = _config(train__optimizer__name="muon", search__layer_decays=[0.8])
    with pytest.raises(ConfigError, match=r"has an effect only where train\.optimizer\.name"):
        trials_of(config, fitted(config, 320, 50), 320, 50)


def _tried(steps: int, accuracy: float, nll: float, failed: str | None = None) -> Tried:
    config = TrainConfig(max_steps=steps)
    return Tried(Trial({"epochs": steps}, config), {"accuracy": accuracy, "nll": nll}, failed)


def test_the_best_has_the_highest_figure_of_equals_the_lowest_loss_then_the_fewest_steps() -> None:
    order = [
        _tried(40, 0.9, 0.5),
        _tried(20, 0.8, 0.3),
        _tried(30, 0.8, 0.3),
        _tried(20, 0.8, 0.4),
        Tried(Trial({}, TrainConfig(max_steps=5)), {"nll": 0.1}),  # a figure that has no value
        Tried(Trial({}, TrainConfig(max_steps=5)), {}, "The gradient is not finite."),
    ]
    assert best_first(order[::-1], "accuracy") == order


def test_a_search_whose_trials_all_fail_says_why() -> None:
    failed = Tried(Trial({}, TrainConfig()), {}, "The gradient is not finite.")
    with pytest.raises(InputError, match=r"All 2 trials .* first with: The gradient is not finite"):
        best_first([failed, failed], "accuracy")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_seeds_are_judged_by_their_mean(values: list[float]) -> None:
    found = together([_tried(20, each, 1.0) for each in values])
    mean = sum(values) / len(values)
    assert math.isclose(found.figures["accuracy"], mean, abs_tol=1e-12)


def test_a_figure_that_one_seed_has_not_has_no_mean_and_one_that_fails_fails_all() -> None:
    some, trial = _tried(20, 0.5, 1.0), Trial({}, TrainConfig())
    assert together([some, Tried(trial, {"nll": 2.0})]).figures == {"nll": 1.5}
    lost = together([some, Tried(trial, {}, "The gradient is not finite.")])
    assert lost.failed and not lost.figures
