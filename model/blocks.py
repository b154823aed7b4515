"""The pieces of a decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU.

Parameters are fp32 and named as in `transformers`' Qwen3. Every piece computes in the dtype of its
input, so that the dtype of the embeddings decides the dtype of the whole network.

Shape suffixes: B sequences, T positions, S positions that can be seen, H query heads, G key-value
heads, K size of a head, D hidden size, N rows of any kind.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from model.config import CausalLMConfig

# Beyond this length the T² scores cost more memory traffic than they save over the fused kernel.
EXPLICIT_ATTENTION_LENGTH = 512


class Linear(nn.Module):
    """y = x Wᵀ without bias, computed in the dtype of x from an fp32 weight.

    Casting the weight once a call is faster on a CPU than autocast, and keeps full-precision
    masters for the optimizer.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        return F.linear(x, self.weight.to(x.dtype))


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

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) → (..., size)."""
        return _RMSNorm.apply(x, self.weight, self.eps)  # type: ignore[no-any-return, no-untyped-call]


Rotation = tuple[Tensor, Tensor]


def rotation(positions: Tensor, config: CausalLMConfig, dtype: torch.dtype) -> Rotation:
    """Cosines and sines of the angles p · θ^(-2i/K) of positions p.

    Su et al. 2021 (RoFormer), equation 15, in the half-split layout of the Hugging Face format:
    channel i pairs with channel i + K/2, and the first half of the sines carries the minus.

    Args:
        positions: (T,) of every row, or (B, T) where each row has its own.

    Returns:
        Two tensors (T, 1, K) or (B, T, 1, K).
    """
    half = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32)
    frequency = 1.0 / config.rope_theta ** (half / config.head_dim)
    angle = (positions.float().unsqueeze(-1) * frequency).unsqueeze(-2)
    cos = torch.cat((angle.cos(), angle.cos()), dim=-1)
    sin = torch.cat((-angle.sin(), angle.sin()), dim=-1)
    return cos.to(dtype), sin.to(dtype)


def rotate(x_BTHK: Tensor, rotation: Rotation) -> Tensor:
    """Turns every pair of channels by its position's angle."""
    cos, sin = rotation
    swapped = x_BTHK.roll(x_BTHK.shape[-1] // 2, dims=-1)
    return torch.addcmul(x_BTHK * cos, swapped, sin)


def document_mask(positions_BT: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores so that no position sees another document, or what comes after it.

    Args:
        positions_BT: place of each input in its document; a document begins at each 0.

    Returns:
        (B, T, S): 0 where S can be seen, -inf elsewhere.
    """
    document_BT = (positions_BT == 0).cumsum(1)
    hidden_BTS = document_BT.unsqueeze(2) != document_BT.unsqueeze(1)
    future_TS = torch.ones_like(hidden_BTS[0]).triu(1)
    zeros = torch.zeros(hidden_BTS.shape, dtype=dtype, device=positions_BT.device)
    return zeros.masked_fill_(hidden_BTS | future_TS, -torch.inf)


def causal_attention(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask_BTS: Tensor | None = None
) -> Tensor:
    """softmax(QKᵀ/√K + mask) V, each query seeing its own position and those before it.

    Vaswani et al. 2017, equation 1; H/G query heads share a key-value head (Ainslie et al. 2023).
    The T queries are the last T of the S positions: T = S, or T = 1 when continuing a text.

    Args:
        mask_BTS: of `document_mask`, where positions see less than all before them.

    Returns:
        (B, H, T, K).
    """
    # The fused kernel is the fastest everywhere but in bf16 on a CPU, where its backward pass
    # takes three times as long as three plain matrix products.
    slow = q_BHTK.device.type == "cpu" and q_BHTK.dtype == torch.bfloat16
    if slow and k_BGSK.shape[2] <= EXPLICIT_ATTENTION_LENGTH:
        return explicit_attention(q_BHTK, k_BGSK, v_BGSK, mask_BTS)
    if mask_BTS is not None:
        # With a mask, the fused kernels of a GPU do not share keys between heads by themselves.
        shared = q_BHTK.shape[1] // k_BGSK.shape[1]
        k_BHSK, v_BHSK = (x.repeat_interleave(shared, dim=1) for x in (k_BGSK, v_BGSK))
        return F.scaled_dot_product_attention(
            q_BHTK, k_BHSK, v_BHSK, attn_mask=mask_BTS.unsqueeze(1)
        )
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, is_causal=q_BHTK.shape[2] > 1, enable_gqa=True
    )


def explicit_attention(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask_BTS: Tensor | None = None
) -> Tensor:
    """The same as `causal_attention`, by two batched products that hold the T × S scores."""
    (batch, heads, length, size), (_, groups, seen, _) = q_BHTK.shape, k_BGSK.shape
    if mask_BTS is None:
        future = torch.full((length, seen), -torch.inf, dtype=q_BHTK.dtype, device=q_BHTK.device)
        mask = future.triu(seen - length + 1).repeat(heads // groups, 1)
    else:
        mask = mask_BTS.repeat(1, heads // groups, 1).repeat_interleave(groups, dim=0)
    # Heads that share keys lie next to each other: they become rows of one product.
    q_NQK = q_BHTK.reshape(batch * groups, -1, size)
    k_NSK, v_NSK = k_BGSK.flatten(0, 1), v_BGSK.flatten(0, 1)
    scores = torch.baddbmm(mask, q_NQK, k_NSK.transpose(1, 2), alpha=size**-0.5)
    return (scores.softmax(-1) @ v_NSK).view(batch, heads, length, size)


class LayerCache:
    """The keys and values that one layer has computed for the positions read so far."""

    def __init__(self) -> None:
        self._pair: tuple[Tensor, Tensor] | None = None

    def extend(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Appends new positions and returns all of them, (B, G, S, K) each."""
        if self._pair is not None:
            k_BGTK = torch.cat((self._pair[0], k_BGTK), dim=2)
            v_BGTK = torch.cat((self._pair[1], v_BGTK), dim=2)
        self._pair = k_BGTK, v_BGTK
        return self._pair

    @property
    def length(self) -> int:
        """Positions held."""
        return 0 if self._pair is None else self._pair[0].shape[2]


class Attention(nn.Module):
    """Grouped-query attention whose queries and keys are normed (Dehghani et al. 2023, §2)."""

    def __init__(self, config: CausalLMConfig) -> None:
        super().__init__()
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        self.head_dim = config.head_dim
        self.q_proj = Linear(config.hidden_size, queries)
        self.k_proj = Linear(config.hidden_size, keys)
        self.v_proj = Linear(config.hidden_size, keys)
        self.o_proj = Linear(queries, config.hidden_size)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def forward(
        self,
        x_BTD: Tensor,
        rotation: Rotation,
        cache: LayerCache | None,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        by_head = (*x_BTD.shape[:2], -1, self.head_dim)
        q_BTHK = self.q_norm(self.q_proj(x_BTD).view(by_head))
        k_BTGK = self.k_norm(self.k_proj(x_BTD).view(by_head))
        q_BHTK = rotate(q_BTHK, rotation).transpose(1, 2)
        k_BGTK = rotate(k_BTGK, rotation).transpose(1, 2)
        v_BGTK = self.v_proj(x_BTD).view(by_head).transpose(1, 2)
        if cache is not None:
            k_BGTK, v_BGTK = cache.extend(k_BGTK, v_BGTK)
        mixed_BHTK = causal_attention(q_BHTK, k_BGTK, v_BGTK, mask_BTS)
        out: Tensor = self.o_proj(mixed_BHTK.transpose(1, 2).flatten(2))
        return out


class SwiGLU(nn.Module):
    """(silu(x W_gate) · x W_up) W_down (Shazeer 2020, equation 6)."""

    def __init__(self, config: CausalLMConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the norm comes first (Xiong et al. 2020).

    Attributes:
        dropout: share of what either adds that is dropped in training (Srivastava et al. 2014).
        recomputed: only the input is kept for the backward pass (Chen et al. 2016).
    """

    def __init__(self, config: CausalLMConfig) -> None:
        super().__init__()
        self.dropout = 0.0
        self.recomputed = False
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config)

    def forward(
        self,
        x_BTD: Tensor,
        rotation: Rotation,
        cache: LayerCache | None,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        if self.recomputed and torch.is_grad_enabled():
            arguments = x_BTD, rotation, cache, mask_BTS
            again: Tensor = checkpoint(self._forward, *arguments, use_reentrant=False)
            return again
        return self._forward(x_BTD, rotation, cache, mask_BTS)

    def _forward(
        self,
        x_BTD: Tensor,
        rotation: Rotation,
        cache: LayerCache | None,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        normed_BTD = self.input_layernorm(x_BTD)
        x_BTD = x_BTD + self._dropped(self.self_attn(normed_BTD, rotation, cache, mask_BTS))
        out: Tensor = x_BTD + self._dropped(self.mlp(self.post_attention_layernorm(x_BTD)))
        return out

    def _dropped(self, x_BTD: Tensor) -> Tensor:
        return F.dropout(x_BTD, self.dropout, self.training) if self.dropout else x_BTD
