"""What runs are called: by their model, their recipe, and when they were due."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.flows.run_names import model_of, run_name

DUE = datetime(2026, 11, 30, 2, 0).astimezone()
WHEN = "2026-11-30 02:00"


@pytest.mark.parametrize(
    ("recipe", "overrides", "model"),
    [
        ("gpt-smoke", {"registration.name": "ours"}, "ours"),
        ("gpt-smoke", None, "gpt-smoke"),
        ("no-such", {}, "pretrain"),
        ("not.there:Recipe", {"train.seed": 3}, "pretrain"),
        (7, ["registration.name"], "pretrain"),
    ],
)
def test_whatever_a_pretraining_was_given_a_name_is_found(
    recipe: Any, overrides: Any, model: str
) -> None:
    assert model_of(recipe, overrides) == model


def test_a_recipe_called_as_its_model_is_named_once() -> None:
    assert run_name("gpt-tiny", "gpt-tiny", DUE) == f"gpt-tiny {WHEN}"
    assert run_name("gpt-tiny", "nightly", DUE) == f"gpt-tiny nightly {WHEN}"


@given(st.text(max_size=400), st.text(max_size=400))
def test_mlflow_can_hold_every_name_with_its_date(model: str, recipe: str) -> None:
    name = run_name(model, recipe, DUE)
    assert len(name) <= 250 and name.endswith(WHEN)
