"""RMSNorm and LayerNorm with fp32 gains, in the dtype of their input."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from corpusmill.model.network.roles import BIAS, GAIN, Role


class _RMSNorm(torch.autograd.Function):
    """The norm with its gradient by hand.

    F.rms_norm in bf16 on a CPU goes through fp32 copies and takes three times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        # The sum of squares is accumulated in fp32 at least: bf16 would keep 8 bits of it.
        wide = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        inverse = torch.rsqrt(length.square() / x.shape[-1] + eps).to(x.dtype)
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, inverse, weight = ctx.saved_tensors
        gain = weight.to(grad.dtype)
        product = grad * normed
        grad_weight = product.flatten(0, -2).sum(0, dtype=weight.dtype)
        along = (product @ gain).unsqueeze(-1) / grad.shape[-1]
        grad_x = torch.addcmul(grad * gain, normed, along, value=-1).mul_(inverse)
        return grad_x, grad_weight, None


class RMSNorm(nn.Module):
    """x / √(mean(x²) + ε) · gain over the last dimension (Zhang and Sennrich 2019, equation 4)."""

    roles: Mapping[str, Role] = {"weight": GAIN}

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) → (..., size)."""
        return _RMSNorm.apply(x, self.weight, self.eps)  # type: ignore[no-any-return, no-untyped-call]


class LayerNorm(nn.Module):
    """(x - mean) / √(variance + ε) · gain + bias, over the last dimension (Ba et al. 2016)."""

    roles: Mapping[str, Role] = {"weight": GAIN, "bias": BIAS}

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) → (..., size)."""
        gain, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.weight.shape, gain, bias, self.eps)
