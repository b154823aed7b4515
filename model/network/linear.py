"""Matrices with fp32 masters that compute in the dtype of their input."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.roles import BIAS, READS, Role


class Linear(nn.Module):
    """y = x Wᵀ + b, computed in the dtype of x from an fp32 weight.

    Casting the weight once a call is faster on a CPU than autocast, and keeps full-precision
    masters for the optimizer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        role: Role = READS,
    ) -> None:
        super().__init__()
        self.roles: Mapping[str, Role] = {"weight": role, "bias": BIAS}
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)
