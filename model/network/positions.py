"""Where a token stands: rotary angles, sinusoids; learned positions are a table of their own.

Shape suffixes as in `corpusmill.model.network.attention`.
"""

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]


def rotation(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> Rotation:
    """Cosines and sines of the angles p · θ^(-2i/K) of positions p.

    Su et al. 2021 (RoFormer), equation 15, in the half-split layout of the Hugging Face format:
    channel i pairs with channel i + K/2, and the first half of the sines carries the minus.

    Args:
        positions: (T,) of every row, or (B, T) where each row has its own.
        head_dim: K.

    Returns:
        Two tensors (T, 1, K) or (B, T, 1, K).
    """
    half = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    frequency = 1.0 / theta ** (half / head_dim)
    angle = (positions.float().unsqueeze(-1) * frequency).unsqueeze(-2)
    cos = torch.cat((angle.cos(), angle.cos()), dim=-1)
    sin = torch.cat((-angle.sin(), angle.sin()), dim=-1)
    return cos.to(dtype), sin.to(dtype)


def rotate(x_BTHK: Tensor, rotation: Rotation) -> Tensor:
    """Turns every pair of channels by its position's angle."""
    cos, sin = rotation
    swapped = x_BTHK.roll(x_BTHK.shape[-1] // 2, dims=-1)
    return torch.addcmul(x_BTHK * cos, swapped, sin)


def sinusoids(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """sin and cos of pos / 10000^(2i/D) (Vaswani et al. 2017, §3.5).

    All sines come first, then all cosines, as the Hugging Face format of Marian has them; the paper
    interleaves them. That is an order of channels, which nothing in a network depends on.

    Args:
        positions: (T,) of every row, or (B, T) where each row has its own.
        size: D, even.

    Returns:
        (T, D) or (B, T, D).
    """
    doubled = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32)
    angle = positions.float().unsqueeze(-1) / 10_000.0 ** (doubled / size)
    return torch.cat((angle.sin(), angle.cos()), dim=-1).to(dtype)
