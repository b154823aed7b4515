"""Rates that fall with depth: each parameter's by its name, whatever the family."""

import pytest
import torch

from corpusmill.flows.overrides import override
from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import Family, ModelConfig
from corpusmill.model.tasks.config import HeadConfig, Pooling
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.depth import rate_shares
from corpusmill.model.training.groups import AdamWConfig
from corpusmill.model.training.identity import identity_of
from corpusmill.model.training.optimizer import build_optimizers
from corpusmill.storage.errors import ConfigError
from tests.networks import DECODER, SHAPES, TRANSFORMER

POOLING: dict[Family, Pooling] = {
    "masked_lm": "first",
    "causal_lm": "last",
    "encoder_decoder": "mean",
}
RATE = 0.01
# The first of two layers, the last one, what stands before them, and all the rest.
SHARES = {"layers.0.": 0.5, "encoder.0.": 0.5, "embed": 0.125}


def _labeller(shape: ModelConfig) -> Labeller:
    body = build_network(shape, 60)
    body.init_weights(seed=0)
    pooling = POOLING[shape.family]
    head = HeadConfig(kind="classification", labels=("a", "b"), pooling=pooling)
    network = Labeller(body, head)
    network.init_head(0, keep_pooler=True)
    return network


def _rates(network: Labeller, config: AdamWConfig) -> dict[str, float]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: group["full_lr"] / RATE
        for optimizer in build_optimizers(network, config).each
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_layer_moves_by_its_depth_and_a_head_by_the_whole_rate(shape: ModelConfig) -> None:
    network = _labeller(shape)
    found = _rates(network, AdamWConfig(learning_rate=RATE, layer_decay=0.5))
    expected = {
        name: next((v for k, v in SHARES.items() if name.startswith(f"body.{k}")), 1.0)
        for name, _ in network.named_parameters()
    }
    assert found == pytest.approx(expected)
    assert {"classifier.weight", "body.embed_tokens.weight"} <= found.keys()


def test_layers_that_write_stand_above_those_that_read() -> None:
    network = build_network(TRANSFORMER, 60)
    shares = rate_shares(network, 0.5)
    named = {name: shares[parameter] for name, parameter in network.named_parameters()}
    first, second, writes = ("encoder.0.", "encoder.1.", "layers.0.")
    for name, share in ((first, 0.25), (second, 0.5), (writes, 1.0), ("embed_tokens.", 0.0625)):
        assert {v for k, v in named.items() if k.startswith(name)} == {share}


def test_embeddings_that_are_the_head_too_take_no_rate_of_a_head() -> None:
    tied = _labeller(DECODER.model_copy(update={"tie_word_embeddings": True}))
    config = AdamWConfig(learning_rate=RATE, head_learning_rate=3 * RATE, layer_decay=0.5)
    found = _rates(tied, config)
    assert found["body.embed_tokens.weight"] == pytest.approx(0.125)
    assert found["classifier.weight"] == pytest.approx(3)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_step_without_decay_of_layers_is_one_with_a_factor_of_one(shape: ModelConfig) -> None:
    networks = [_labeller(shape), _labeller(shape)]
    for network, config in zip(networks, (AdamWConfig(), AdamWConfig(layer_decay=1)), strict=True):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 0.1)
        build_optimizers(network, config).step(1.0)
    assert all(map(torch.equal, networks[0].parameters(), networks[1].parameters()))


def test_a_factor_of_one_is_no_other_run() -> None:
    def identity(**fields: float) -> object:
        train = override(TrainConfig(), {"optimizer.name": "adamw", **fields})
        return identity_of(train, "masked_lm", None, 1)

    assert identity() == identity(**{"optimizer.layer_decay": 1.0})
    assert identity() != identity(**{"optimizer.layer_decay": 0.8})


def test_muon_refuses_a_decay_by_layers() -> None:
    said = "optimizer.layer_decay has an effect only where optimizer.name is 'adamw'"
    with pytest.raises(ConfigError, match=said):
        override(TrainConfig(), {"optimizer.layer_decay": 0.8})
