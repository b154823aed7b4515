"""Attention, its masks, and the one function that picks how it is computed.

Shape suffixes: B sequences, T positions, S positions that can be seen, H query heads, G key-value
heads, K size of a head, D hidden size, N rows of any kind.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.dropout import dropout as drop
from corpusmill.model.network.linear import Linear
from corpusmill.model.network.norms import RMSNorm
from corpusmill.model.network.positions import Rotation, rotate
from corpusmill.model.network.roles import WRITES

# Beyond this length the T² scores cost more memory traffic than they save over the fused kernel.
EXPLICIT_ATTENTION_LENGTH = 512


def document_mask(positions_BT: Tensor, dtype: torch.dtype, *, causal: bool = True) -> Tensor:
    """Additive mask: a position sees its own document alone, up to itself.

    Args:
        positions_BT: place of each input in its document; a document begins at each 0.
        causal: False lets a position see what comes after it in its document.

    Returns:
        (B, T, S): 0 where S can be seen, -inf elsewhere.
    """
    document_BT = (positions_BT == 0).cumsum(1)
    hidden_BTS = document_BT.unsqueeze(2) != document_BT.unsqueeze(1)
    if causal:
        hidden_BTS = hidden_BTS | torch.ones_like(hidden_BTS[0]).triu(1)
    return _added(hidden_BTS, dtype)


def padding_mask(lengths_B: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Additive mask: no position sees the padding after a sequence.

    Args:
        lengths_B: positions of each sequence that count, 1 or more.
        length: S, with the padding.

    Returns:
        (B, 1, S): 0 where S can be seen, -inf elsewhere.
    """
    places_S = torch.arange(length, device=lengths_B.device)
    return _added((places_S >= lengths_B.unsqueeze(1)).unsqueeze(1), dtype)


def causal_mask(queries: int, seen: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same for the last T of S positions, none of which sees a later one; (T, S)."""
    future = torch.full((queries, seen), -torch.inf, dtype=dtype, device=device)
    return future.triu(seen - queries + 1)


def _added(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    zeros = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
    return zeros.masked_fill_(hidden, -torch.inf)


def attention(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask_BTS: Tensor | None = None,
    *,
    causal: bool = True,
    dropout: float = 0.0,
) -> Tensor:
    """softmax(QKᵀ/√K + mask) V.

    Vaswani et al. 2017, equation 1; H/G query heads share a key-value head (Ainslie et al. 2023).

    Args:
        mask_BTS: what is added to the scores, (B, T or 1, S); it then says alone what is seen.
        causal: each query sees its own position and those before it: the T queries are the last T
            of the S positions, T = S, or T = 1 when continuing a text.
        dropout: share of the weights that is dropped.

    Returns:
        (B, H, T, K).
    """
    # The fused kernel is the fastest everywhere but in bf16 on a CPU, where its backward pass
    # takes three times as long as three plain matrix products.
    slow = q_BHTK.device.type == "cpu" and q_BHTK.dtype == torch.bfloat16
    if slow and k_BGSK.shape[2] <= EXPLICIT_ATTENTION_LENGTH:
        return explicit_attention(q_BHTK, k_BGSK, v_BGSK, mask_BTS, causal=causal, dropout=dropout)
    if mask_BTS is not None:
        # With a mask, the fused kernels of a GPU do not share keys between heads by themselves.
        shared = q_BHTK.shape[1] // k_BGSK.shape[1]
        k_BHSK, v_BHSK = (x.repeat_interleave(shared, dim=1) for x in (k_BGSK, v_BGSK))
        return F.scaled_dot_product_attention(
            q_BHTK, k_BHSK, v_BHSK, attn_mask=mask_BTS.unsqueeze(1), dropout_p=dropout
        )
    return F.scaled_dot_product_attention(
        *(q_BHTK, k_BGSK, v_BGSK),
        is_causal=causal and q_BHTK.shape[2] > 1,
        dropout_p=dropout,
        enable_gqa=True,
    )


def explicit_attention(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask_BTS: Tensor | None = None,
    *,
    causal: bool = True,
    dropout: float = 0.0,
) -> Tensor:
    """The same as `attention`, by two batched products that hold the T × S scores."""
    (batch, heads, length, size), (_, groups, seen, _) = q_BHTK.shape, k_BGSK.shape
    # Heads that share keys lie next to each other: they become rows of one product.
    q_NQK = q_BHTK.reshape(batch * groups, -1, size)
    k_NSK, v_NSK = k_BGSK.flatten(0, 1), v_BGSK.flatten(0, 1)
    if mask_BTS is not None:
        mask = mask_BTS.expand(-1, length, -1).repeat(1, heads // groups, 1)
        mask = mask.repeat_interleave(groups, dim=0)
    elif causal:
        mask = causal_mask(length, seen, q_BHTK.dtype, q_BHTK.device).repeat(heads // groups, 1)
    else:
        mask = q_NQK.new_zeros(1)
    scores = torch.baddbmm(mask, q_NQK, k_NSK.transpose(1, 2), alpha=size**-0.5)
    weights_NQS = drop(scores.softmax(-1), dropout)
    return (weights_NQS @ v_NSK).view(batch, heads, length, size)


class LayerCache:
    """The keys and values that one layer has computed.

    Attributes:
        source: those of what cross-attention looks at, (B, G, S, K) each.
    """

    def __init__(self) -> None:
        self.source: tuple[Tensor, Tensor] | None = None
        self._pair: tuple[Tensor, Tensor] | None = None

    def extend(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Appends new positions and returns all of them, (B, G, S, K) each."""
        if self._pair is not None:
            k_BGTK = torch.cat((self._pair[0], k_BGTK), dim=2)
            v_BGTK = torch.cat((self._pair[1], v_BGTK), dim=2)
        self._pair = k_BGTK, v_BGTK
        return self._pair

    def reorder(self, rows: Tensor) -> None:
        """Keeps these sequences, int64 (B,), in this order; one may be kept several times.

        Each takes the place of one with the same source.
        """
        if self._pair is not None:
            self._pair = self._pair[0][rows], self._pair[1][rows]

    @property
    def length(self) -> int:
        """Positions held."""
        return 0 if self._pair is None else self._pair[0].shape[2]


class Attention(nn.Module):
    """Multi-head attention, to itself or to a source; grouped-query with fewer key-value heads.

    Attributes:
        dropout: share of the attention weights that is dropped in training.
    """

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        head_dim: int,
        *,
        key_value_heads: int | None = None,
        bias: bool = True,
        norm_eps: float | None = None,
        causal: bool,
    ) -> None:
        """Builds the four projections.

        Args:
            key_value_heads: None for as many as `heads`.
            norm_eps: queries and keys are normed with this ε (Dehghani et al. 2023, §2).
            causal: no position sees a later one, unless a mask says what is seen.
        """
        super().__init__()
        queries, keys = heads * head_dim, (key_value_heads or heads) * head_dim
        self.dropout = 0.0
        self._head_dim = head_dim
        self._causal = causal
        self.q_proj = Linear(hidden_size, queries, bias=bias)
        self.k_proj = Linear(hidden_size, keys, bias=bias)
        self.v_proj = Linear(hidden_size, keys, bias=bias)
        self.o_proj = Linear(queries, hidden_size, bias=bias, role=WRITES)
        self.q_norm = None if norm_eps is None else RMSNorm(head_dim, norm_eps)
        self.k_norm = None if norm_eps is None else RMSNorm(head_dim, norm_eps)

    def forward(
        self,
        x_BTD: Tensor,
        *,
        rotation: Rotation | None = None,
        mask_BTS: Tensor | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """What each position gathers from the others; (B, T, D) → (B, T, D)."""
        q_BTHK, k_BTGK = self._heads(self.q_proj(x_BTD)), self._heads(self.k_proj(x_BTD))
        if self.q_norm is not None and self.k_norm is not None:
            q_BTHK, k_BTGK = self.q_norm(q_BTHK), self.k_norm(k_BTGK)
        if rotation is not None:
            q_BTHK, k_BTGK = rotate(q_BTHK, rotation), rotate(k_BTGK, rotation)
        k_BGTK, v_BGTK = k_BTGK.transpose(1, 2), self._heads(self.v_proj(x_BTD)).transpose(1, 2)
        if cache is not None:
            k_BGTK, v_BGTK = cache.extend(k_BGTK, v_BGTK)
        return self._mixed(q_BTHK, k_BGTK, v_BGTK, mask_BTS)

    def to_source(
        self,
        x_BTD: Tensor,
        source_BSD: Tensor,
        mask_BTS: Tensor | None,
        cache: LayerCache | None,
    ) -> Tensor:
        """What each position gathers from another sequence; (B, T, D) → (B, T, D)."""
        if cache is not None and cache.source is not None:
            k_BGSK, v_BGSK = cache.source
        else:
            k_BGSK = self._heads(self.k_proj(source_BSD)).transpose(1, 2)
            v_BGSK = self._heads(self.v_proj(source_BSD)).transpose(1, 2)
            if cache is not None:
                cache.source = k_BGSK, v_BGSK
        return self._mixed(self._heads(self.q_proj(x_BTD)), k_BGSK, v_BGSK, mask_BTS)

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.view(*x_BTD.shape[:2], -1, self._head_dim)

    def _mixed(self, q_BTHK: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        dropped = self.dropout if self.training else 0.0
        causal = self._causal
        mixed_BHTK = attention(q_BTHK.transpose(1, 2), k, v, mask, causal=causal, dropout=dropped)
        out: Tensor = self.o_proj(mixed_BHTK.transpose(1, 2).flatten(2))
        return out
