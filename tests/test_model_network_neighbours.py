"""An encoder begins by looking at its neighbours, and learns from them at once."""

import math

import pytest
import torch

from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import BertConfig
from corpusmill.model.network.neighbours import glances, waves
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.training.optimizer import build_optimizers

WIDTH, HEADS, LENGTH = 128, 4, 128


@pytest.mark.parametrize(("head", "distance"), [(0, -1), (1, 1), (2, -2), (3, 2)])
def test_each_head_looks_at_one_neighbour(head: int, distance: int) -> None:
    positions_PD = torch.nn.functional.layer_norm(waves(LENGTH, WIDTH), (WIDTH,))
    queries, keys = glances(WIDTH, HEADS, torch.Generator().manual_seed(0))
    size = WIDTH // HEADS
    rows = slice(head * size, (head + 1) * size)
    scores_PP = (positions_PD @ queries[rows].T) @ (positions_PD @ keys[rows].T).T
    inner = torch.arange(4, LENGTH - 4)
    assert torch.equal(scores_PP[inner].argmax(1), inner + distance)


@pytest.mark.parametrize(("width", "heads"), [(12, 4), (15, 3), (768, 12)])
def test_widths_that_waves_do_not_fill_have_matrices_of_their_own_shape(
    width: int, heads: int
) -> None:
    assert waves(5, width).shape == (5, width)
    for matrix in glances(width, heads, torch.Generator().manual_seed(0)):
        assert matrix.shape == (width, width) and matrix.isfinite().all()


def test_what_a_neighbour_says_is_learned_in_some_dozen_steps() -> None:
    """Every other token says which one follows it; bare frequencies are a loss of log 32.

    After as many steps of a network that begins with noise alone the loss was 2.6.
    """
    length, vocabulary, mask = 64, 32, 33
    config = BertConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=length,
    )
    network = Bert(config, mask + 1)
    network.init_weights(seed=0)
    optimizers = build_optimizers(network, MuonConfig(learning_rate=0.02))
    draw = torch.Generator().manual_seed(0)
    follows = torch.randperm(vocabulary, generator=draw)
    mean = math.inf
    for _ in range(50):
        said_BS = torch.randint(vocabulary, (16, length // 2), generator=draw)
        targets_BS = follows[said_BS]
        ids_BT = torch.stack((said_BS, torch.full_like(said_BS, mask)), 2).flatten(1)
        loss = network(
            ids_BT,
            lengths_B=torch.full((16,), length),
            places_BM=torch.arange(1, length, 2).expand(16, -1),
            targets_BM=targets_BS,
        )
        mean = loss.item() / targets_BS.numel()
        (loss / targets_BS.numel()).backward()
        optimizers.step(1.0)
    assert mean < 1.0
