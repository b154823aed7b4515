"""Dropout of our own on a CPU: its share, its scale, its gradient, its seed."""

import pytest
import torch

from corpusmill.model.network.dropout import dropout

DTYPES = (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_rest_is_scaled(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = dropout(torch.ones(1000, 999, dtype=dtype), share)
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=2e-3)
    assert sorted(set(found[found != 0].tolist())) == pytest.approx([1 / (1 - share)], rel=1e-2)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    gone = (dropout(torch.ones(1 << 20), 0.5) == 0).float() - 0.5
    for distance in range(1, 9):
        assert abs((gone[distance:] * gone[:-distance]).mean().item()) < 2e-3


def test_the_gradient_goes_where_the_numbers_went() -> None:
    torch.manual_seed(0)
    x = torch.ones(7, 5, requires_grad=True)
    found = dropout(x, 0.3)
    torch.autograd.backward(found.sum())
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())


def test_the_seed_decides_what_is_dropped() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(100), 0.5)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_no_share_draws_nothing() -> None:
    torch.manual_seed(0)
    before, x = torch.get_rng_state(), torch.ones(3)
    assert dropout(x, 0.0) is x
    assert torch.equal(torch.get_rng_state(), before)
