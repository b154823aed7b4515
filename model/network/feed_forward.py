"""What every position does by itself: two matrices and an activation, or SwiGLU's three."""

from collections.abc import Callable, Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.config import Activation
from corpusmill.model.network.linear import Linear
from corpusmill.model.network.roles import WRITES


def squared_relu(x: Tensor) -> Tensor:
    """max(0, x)² (So et al. 2021, Primer)."""
    return F.relu(x).square()


# By the names of the Hugging Face format; gelu_new is the approximation that GPT-2 computes.
ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "relu2": squared_relu,
    "silu": F.silu,
}


class FeedForward(nn.Module):
    """act(x W_up + b_up) W_down + b_down (Vaswani et al. 2017, equation 2)."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: Activation) -> None:
        super().__init__()
        self.up_proj = Linear(hidden_size, intermediate_size, bias=True)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=True, role=WRITES)
        self._activation = ACTIVATIONS[activation]

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        out: Tensor = self.down_proj(self._activation(self.up_proj(x_BTD)))
        return out


class SwiGLU(nn.Module):
    """(silu(x W_gate) · x W_up) W_down (Shazeer 2020, equation 6)."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, intermediate_size)
        self.up_proj = Linear(hidden_size, intermediate_size)
        self.down_proj = Linear(intermediate_size, hidden_size, role=WRITES)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))
        return out
