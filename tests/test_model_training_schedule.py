"""What changes from step to step: the learning rate, the batch and the sequence length."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import (
    CosineSchedule,
    InverseSqrtSchedule,
    Schedule,
    SizeWarmUp,
    WSDSchedule,
)
from corpusmill.model.training.schedule import first_sample, rate_factor, sequence_length


def _factors(config: TrainConfig) -> list[float]:
    return [rate_factor(step, config) for step in range(config.max_steps)]


@st.composite
def _schedules(draw: st.DrawFn) -> TrainConfig:
    max_steps = draw(st.integers(1, 200))
    warmup_steps = draw(st.integers(0, max_steps - 1))
    schedules = (
        WSDSchedule(warmup_steps=warmup_steps, decay_fraction=draw(st.floats(0, 1))),
        CosineSchedule(warmup_steps=warmup_steps),
        InverseSqrtSchedule(warmup_steps=warmup_steps),
    )
    return TrainConfig(max_steps=max_steps, schedule=draw(st.sampled_from(schedules)))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            WSDSchedule(warmup_steps=3, decay_fraction=0.4),
            [1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4],
        ),
        (
            CosineSchedule(warmup_steps=3),
            [1 / 4, 2 / 4, 3 / 4, 1, 0.9505, 0.8117, 0.6113, 0.3887, 0.1883, 0.0495],
        ),
        (
            InverseSqrtSchedule(warmup_steps=3),
            [1 / 4, 2 / 4, 3 / 4] + [(4 / step) ** 0.5 for step in range(4, 11)],
        ),
    ],
)
def test_the_rate_rises_and_then_follows_its_formula(
    schedule: Schedule, expected: list[float]
) -> None:
    config = TrainConfig(max_steps=10, schedule=schedule)
    assert _factors(config) == pytest.approx(expected, abs=1e-4)


@given(_schedules())
def test_the_rate_never_rises_again_once_it_fell(config: TrainConfig) -> None:
    factors = _factors(config)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


@given(_schedules())
def test_no_step_is_without_a_rate_and_none_is_above_the_one_set(config: TrainConfig) -> None:
    assert all(0 < factor <= 1 for factor in _factors(config))


@given(_schedules(), st.floats(0, 1))
def test_with_a_budget_of_time_the_rate_falls_with_what_is_nearer_to_its_end(
    config: TrainConfig, spent: float
) -> None:
    budget = config.model_copy(update={"max_seconds": 60.0})
    for step, plain in enumerate(_factors(config)):
        assert rate_factor(step, budget) == plain
        assert rate_factor(step, budget, 60 * spent) <= plain
    if not isinstance(config.schedule, InverseSqrtSchedule):
        assert rate_factor(config.max_steps - 1, budget, 60.0) == pytest.approx(0, abs=1e-12)


@st.composite
def _warm_ups(draw: st.DrawFn) -> tuple[TrainConfig, SizeWarmUp, SizeWarmUp]:
    batch, length = (
        SizeWarmUp(initial=draw(st.integers(1, 5)), steps=draw(st.integers(1, 80)))
        for _ in range(2)
    )
    config = TrainConfig(
        max_steps=draw(st.integers(1, 60)),
        global_batch_size=batch.initial << draw(st.integers(1, 4)),
        sequence_length=length.initial << draw(st.integers(1, 4)),
        batch_size_warmup=batch,
        sequence_length_warmup=length,
    )
    return config, batch, length


@given(_warm_ups())
def test_batches_and_sequences_grow_by_doubling_and_are_whole_after_the_warm_up(
    drawn: tuple[TrainConfig, SizeWarmUp, SizeWarmUp],
) -> None:
    config, batch, length = drawn
    last = batch.steps + length.steps
    firsts = [first_sample(step, config) for step in range(last + 2)]
    batches = [after - before for before, after in pairwise(firsts)]
    lengths = [sequence_length(step, config) for step in range(last + 1)]
    for sizes, full, warmup in (
        (batches, config.global_batch_size, batch),
        (lengths, config.sequence_length, length),
    ):
        assert sizes == sorted(sizes)
        assert {size / warmup.initial for size in sizes} <= {1, 2, 4, 8, 16}
        assert sizes[-1] == full == sizes[warmup.steps]
        assert sizes[warmup.steps - 1] < full
    assert firsts[0] == 0
