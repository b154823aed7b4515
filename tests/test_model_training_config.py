"""What makes two training runs the same one."""

from typing import Any

import pytest

from model.training.config import TrainConfig


def _are_one(base: dict[str, Any], changed: dict[str, Any]) -> bool:
    one, other = (TrainConfig.model_validate(values) for values in (base, base | changed))
    return one.identity() == other.identity()


@pytest.mark.parametrize(
    "changed",
    [{"num_processes": 3}, {"micro_batch_size": 1}, {"log_every": 1}, {"validate_every": 7}],
    ids=str,
)
def test_where_a_run_runs_and_what_is_written_of_it_makes_no_other_model(
    changed: dict[str, Any],
) -> None:
    assert _are_one({}, changed)


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"dropout": 0.1}, {"early_stopping": 2}, {"max_steps": 7}], ids=str
)
def test_what_is_learned_from_what_makes_another_model(changed: dict[str, Any]) -> None:
    assert not _are_one({}, changed)


@pytest.mark.parametrize("changed", [{"validate_every": 7}, {"validation_windows": 7}], ids=str)
def test_validations_make_another_model_where_early_stopping_chooses_among_them(
    changed: dict[str, Any],
) -> None:
    assert not _are_one({"early_stopping": 2}, changed)
