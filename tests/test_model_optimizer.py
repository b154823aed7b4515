"""The optimizer: which weights decay, and the learning rate of each step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.config import CausalLMConfig, TrainConfig
from model.decoder import Decoder
from model.optimizer import build_optimizer, learning_rate


def _rates(config: TrainConfig) -> list[float]:
    return [learning_rate(step, config) for step in range(config.max_steps)]


@st.composite
def _schedules(draw: st.DrawFn) -> TrainConfig:
    max_steps = draw(st.integers(1, 200))
    return TrainConfig(
        max_steps=max_steps,
        warmup_steps=draw(st.integers(0, max_steps - 1)),
        decay_fraction=draw(st.floats(0, 1)),
        learning_rate=draw(st.floats(1e-6, 1)),
    )


def test_the_rate_rises_stays_and_falls_towards_zero() -> None:
    config = TrainConfig(max_steps=10, warmup_steps=3, decay_fraction=0.4, learning_rate=4.0)
    assert _rates(config) == pytest.approx([1, 2, 3, 4, 4, 4, 4, 3, 2, 1])


@given(_schedules())
def test_the_rate_never_rises_again_once_it_fell(config: TrainConfig) -> None:
    rates = _rates(config)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@given(_schedules())
def test_no_step_is_without_a_rate_and_none_is_above_the_one_set(config: TrainConfig) -> None:
    assert all(0 < rate <= config.learning_rate for rate in _rates(config))


def test_matrices_decay_with_the_weight_set_and_gains_do_not() -> None:
    network = Decoder(CausalLMConfig(hidden_size=8, num_hidden_layers=1), 300)
    optimizer = build_optimizer(network, TrainConfig(weight_decay=0.3))
    decays = {
        parameter: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert {p: 0.3 if p.ndim > 1 else 0.0 for p in network.parameters()} == decays


def test_a_step_without_gradient_only_shrinks_what_decays() -> None:
    network = Decoder(CausalLMConfig(hidden_size=8, num_hidden_layers=1), 300)
    network.init_weights(seed=0)
    optimizer = build_optimizer(network, TrainConfig(weight_decay=0.3, learning_rate=0.1))
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        shrunk = before[name] * (1 - 0.1 * 0.3) if parameter.ndim > 1 else before[name]
        torch.testing.assert_close(parameter.detach(), shrunk)
