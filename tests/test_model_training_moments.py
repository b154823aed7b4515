"""What an optimizer leaves to the run that begins with its model."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.training.averaging import LineMean, start_average
from corpusmill.model.training.groups import LineMeanConfig, MuonConfig
from corpusmill.model.training.job import moments_spec
from corpusmill.model.training.moments import go_ahead, moments_of, take_over, write_moments
from corpusmill.model.training.optimizer import Optimizers, build_optimizers
from corpusmill.storage.artifacts import publish
from corpusmill.storage.errors import ArtifactError

SHAPE = DecoderConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=16,
)


def _network(width: int = 32) -> tuple[nn.Module, Optimizers]:
    network = build_network(SHAPE, width, torch.float32)
    network.init_weights(0)
    return network, build_optimizers(network, MuonConfig(adam_beta2=0.99))


def _step(network: nn.Module, optimizers: Optimizers, seed: int) -> None:
    torch.manual_seed(seed)
    ids = torch.randint(0, 32, (4, 9))
    network(ids[:, :-1], ids[:, 1:]).sum().backward()
    optimizers.step(1.0)


def _weights(network: nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def _put(network: nn.Module, weights: torch.Tensor) -> None:
    torch.nn.utils.vector_to_parameters(weights.clone(), network.parameters())


def _left(folder: Path) -> Path:
    network, optimizers = _network()
    for seed in range(5):
        _step(network, optimizers, seed)
    moments = moments_of(network, optimizers)
    return _leave(folder, moments, {})


def _leave(folder: Path, moments: dict[str, Tensor], ahead: dict[str, Tensor]) -> Path:
    publish(folder, moments_spec("a model"), lambda path: write_moments(path, moments, ahead))
    return folder


def test_they_are_the_mean_squares_of_the_gradients(tmp_path: Path) -> None:
    network, optimizers = _network()
    squares = []
    for seed in range(3):
        torch.manual_seed(seed)
        ids = torch.randint(0, 32, (4, 9))
        network(ids[:, :-1], ids[:, 1:]).sum().backward()
        gradient = network.get_parameter("lm_head.weight").grad
        assert gradient is not None
        squares.append(gradient.clone() ** 2)
        optimizers.step(0.0)
    weights = torch.tensor([0.99**age for age in (2, 1, 0)])
    mean = sum(w * s for w, s in zip(weights, squares, strict=True)) / weights.sum()
    found = moments_of(network, optimizers)["lm_head.weight"].to(torch.float32)
    torch.testing.assert_close(found, mean, rtol=1e-2, atol=1e-12)


def test_a_first_step_is_measured_by_what_was_seen_before(tmp_path: Path) -> None:
    folder = _left(tmp_path / "moments")
    moved = []
    for left in (folder, None):
        network, optimizers = _network()
        if left:
            take_over(left, network, optimizers)
        before = network.get_parameter("lm_head.weight").detach().clone()
        _step(network, optimizers, 9)
        moved.append((network.get_parameter("lm_head.weight") - before).abs().mean().item())
    # A fresh AdamW moves everything by its whole rate at once.
    assert moved[0] < moved[1]


def test_a_line_goes_on_from_where_it_came_to_and_exports_the_mean_of_all_places(
    tmp_path: Path,
) -> None:
    network, optimizers = _network()
    exported, expected = _weights(network), _weights(network)
    for night in range(3):
        _put(network, exported)
        average = start_average(network, LineMeanConfig(share=0.25), 0)
        if night:
            go_ahead(tmp_path / f"left-{night - 1}", network)
        _step(network, optimizers, night)
        expected = torch.lerp(expected, _weights(network), 0.25)
        assert isinstance(average, LineMean)
        ahead, moments = average.ahead(network), moments_of(network, optimizers)
        _leave(tmp_path / f"left-{night}", moments, ahead)
        last = _weights(network)
        with average.applied():
            exported = _weights(network)
        assert torch.equal(_weights(network), last)
        torch.testing.assert_close(exported, expected, rtol=0, atol=1e-4)
        assert not torch.allclose(exported, last, rtol=0, atol=1e-3)


def test_a_model_that_is_no_mean_is_gone_on_from_where_it_is(tmp_path: Path) -> None:
    folder = _left(tmp_path / "moments")
    network, _ = _network()
    before = _weights(network)
    go_ahead(folder, network)
    assert torch.equal(_weights(network), before)


def test_those_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = _left(tmp_path / "moments")
    network, optimizers = _network(width=200)
    with pytest.raises(ArtifactError, match="does not hold the moments of this network"):
        take_over(folder, network, optimizers)
