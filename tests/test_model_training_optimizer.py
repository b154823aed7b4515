"""The optimizers: which parameter each of them moves, how fast, and what decays."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.network.linear import Linear
from corpusmill.model.training.adamw import AdamW
from corpusmill.model.training.groups import AdamWConfig, MuonConfig, Optimizer
from corpusmill.model.training.muon import POLAR_EXPRESS, Muon, orthogonalized
from corpusmill.model.training.optimizer import build_optimizers, kinds, remembered
from tests.networks import TRANSFORMER

OPTIMIZERS: dict[str, Optimizer] = {"muon": MuonConfig(), "adamw": AdamWConfig()}
SMALL = DecoderConfig(hidden_size=8, num_hidden_layers=2)


def _network(*, tied: bool = False) -> Decoder:
    network = Decoder(SMALL.model_copy(update={"tie_word_embeddings": tied}), 300)
    network.init_weights(seed=0)
    return network


def _groups(network: LanguageModel, config: Optimizer) -> dict[str, tuple[str, float, float]]:
    """Optimizer, full rate (nine digits) and decay of each parameter, by name."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: (
            type(optimizer).__name__,
            round(group["full_lr"], 9),
            group["weight_decay"],
        )
        for optimizer in build_optimizers(network, config).each
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_is_moved_by_one_optimizer(optimizer: str, tied: bool) -> None:
    network = _network(tied=tied)
    config = OPTIMIZERS[optimizer]
    assert _groups(network, config).keys() == dict(network.named_parameters()).keys()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_memory_tried_beforehand_is_what_optimizers_come_to_hold(optimizer: str) -> None:
    network, config = _network(), OPTIMIZERS[optimizer]
    optimizers = build_optimizers(network, config)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(1.0)
    held = (value for _, state in optimizers.states() for value in state.values())
    expected = sum(value.numel() for value in held if value.ndim)
    assert sum(parameter.numel() for parameter in remembered(network, config)) == expected


def test_a_rehearsed_step_moves_and_remembers_nothing() -> None:
    network = _network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    muon = build_optimizers(network, MuonConfig()).each[0]
    assert isinstance(muon, Muon)
    muon.rehearse()
    assert all(map(torch.equal, before, network.parameters()))
    assert not muon.state


def test_muon_moves_matrices_and_adamw_the_rest_at_rates_of_their_own() -> None:
    found = _groups(_network(), MuonConfig(learning_rate=0.03, weight_decay=0.2))
    assert found["layers.1.mlp.up_proj.weight"] == ("Muon", 0.03, 0.2)
    assert found["embed_tokens.weight"] == ("AdamW", 0.15, 0.0)
    assert found["lm_head.weight"] == ("AdamW", 0.01, 0.0)
    assert found["norm.weight"] == ("AdamW", 0.004, 0.0)


def test_embeddings_that_are_the_head_too_move_as_a_head() -> None:
    found = _groups(_network(tied=True), MuonConfig(learning_rate=0.03))
    assert found["embed_tokens.weight"] == ("AdamW", 0.01, 0.0)


def test_a_tied_head_keeps_its_rate_at_any_width_and_the_gain_before_it_shrinks() -> None:
    network = _network(tied=True)
    carried = _groups(network, MuonConfig(learning_rate=0.03, base_hidden_size=2))
    assert carried["embed_tokens.weight"] == ("AdamW", 0.01, 0.0)
    assert carried["norm.weight"] == ("AdamW", 0.001, 0.0)


def test_a_tied_head_moves_as_far_as_it_begins_large() -> None:
    network = build_network(TRANSFORMER, 300)
    begins = TRANSFORMER.hidden_size**-0.5
    rate = round(0.01 * begins / 0.02, 9)
    found = _groups(network, MuonConfig(learning_rate=0.03))
    assert found["embed_tokens.weight"] == ("AdamW", rate, 0.0)


def test_a_rate_given_for_embeddings_or_head_holds() -> None:
    config = MuonConfig(embedding_learning_rate=0.5, head_learning_rate=0.25)
    found = _groups(_network(), config)
    assert (found["embed_tokens.weight"][1], found["lm_head.weight"][1]) == (0.5, 0.25)


def test_adamw_alone_decays_matrices_and_leaves_gains() -> None:
    network = _network()
    config = AdamWConfig(learning_rate=1e-3, weight_decay=0.3)
    for name, parameter in network.named_parameters():
        expected = ("AdamW", 1e-3, 0.3 if parameter.ndim > 1 else 0.0)
        assert _groups(network, config)[name] == expected


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_step_without_gradient_only_shrinks_what_decays(optimizer: str) -> None:
    network = _network()
    config = OPTIMIZERS[optimizer].model_copy(update={"weight_decay": 0.3, "learning_rate": 0.1})
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    decays = _groups(network, config)
    build_optimizers(network, config).step(0.5)
    for name, parameter in network.named_parameters():
        shrunk = before[name] * (1 - 0.5 * 0.1 * decays[name][2])
        torch.testing.assert_close(parameter.detach(), shrunk)


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (48, 16), (16, 48)])
def test_orthogonalization_keeps_directions_and_evens_out_their_lengths(
    rows: int, columns: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(3, rows, rows, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(3, columns, columns, generator=generator))
    rank = min(rows, columns)
    lengths = torch.logspace(0, -2, rank)
    bank = (left[:, :, :rank] * lengths) @ right[:, :, :rank].mT
    evened = orthogonalized(bank, steps=5)
    along = left[:, :, :rank].mT @ evened @ right[:, :, :rank]
    diagonal = along.diagonal(dim1=1, dim2=2)
    assert diagonal.min() > 0.8
    assert diagonal.max() < 1.2
    torch.testing.assert_close(along, torch.diag_embed(diagonal), atol=1e-3, rtol=0)


def test_as_many_steps_can_be_asked_for_as_the_iteration_has() -> None:
    most = len(POLAR_EXPRESS)
    assert MuonConfig(newton_schulz_steps=most).newton_schulz_steps == most
    with pytest.raises(ValidationError, match=f"less than or equal to {most}"):
        MuonConfig(newton_schulz_steps=most + 1)


def test_a_bank_moves_as_its_matrices_would_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(2, 3, 12, 8, generator=generator)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}

    def moved(banks: list[list[int]]) -> torch.Tensor:
        matrices = [matrix.clone() for matrix in start]
        for matrix, grad in zip(matrices, gradient, strict=True):
            matrix.grad = grad.clone()
        for bank in banks:
            chosen = [matrices[number] for number in bank]
            Muon(chosen, **settings, steps=3, dtype=torch.float32).step()
        return torch.stack(matrices)

    torch.testing.assert_close(moved([[0, 1, 2]]), moved([[0], [1], [2]]))


def test_what_a_parameter_is_says_its_module_and_not_its_name() -> None:
    network = _network()
    network.embed_norm = Linear(8, 8)
    network.init_weights(seed=0)
    assert any(each is network.embed_norm.weight for each in kinds(network)["matrices"])
    assert 0.2 < network.embed_norm.weight.std() < 0.5


def test_a_module_that_does_not_say_what_its_parameters_are_is_named() -> None:
    network = _network()
    network.plain = nn.Linear(8, 8)
    with pytest.raises(AssertionError, match="Linear plain has no role for its weight"):
        kinds(network)


def test_the_kinds_share_out_all_parameters() -> None:
    network = _network()
    found = [parameter for members in kinds(network).values() for parameter in members]
    assert {id(each) for each in found} == {id(each) for each in network.parameters()}
    assert len(found) == len(list(network.parameters()))


def test_adamw_moves_as_that_of_torch_does() -> None:
    own, other = (torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2))
    shape: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.2}
    given: dict[str, Any] = {"betas": (0.7, 0.9), "eps": 1e-6}
    mine = AdamW([{"params": [own], **shape}], **given)
    theirs = torch.optim.AdamW([{"params": [other], **shape}], **given, fused=True)
    for step in range(5):
        for parameter, optimizer in ((own, mine), (other, theirs)):
            torch.autograd.backward((parameter.sin() * (step + 1)).sum())
            optimizer.step()
            parameter.grad = None
    assert torch.equal(own, other)
