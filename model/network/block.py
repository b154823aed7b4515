"""A layer of any Transformer here: attention, attention to a source where there is one, MLP.

Shape suffixes as in `corpusmill.model.network.attention`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from corpusmill.model.network.attention import Attention, LayerCache
from corpusmill.model.network.dropout import dropout
from corpusmill.model.network.positions import Rotation


class LayerContext(NamedTuple):
    """What all layers of a network are given beside their input.

    Attributes:
        rotation: of queries and keys by their positions.
        mask_BTS: what is added to the scores, as `corpusmill.model.network.attention` has it.
        source_BSD: what cross-attention looks at.
        source_mask_BTS: what is added to the scores of cross-attention.
    """

    rotation: Rotation | None = None
    mask_BTS: Tensor | None = None
    source_BSD: Tensor | None = None
    source_mask_BTS: Tensor | None = None


class Block(nn.Module):
    """x + f(norm(x)) for each f in turn; or norm(x + f(x)), as Vaswani et al. 2017 (§3.1) have it.

    With the norm first a deep network needs no warm-up (Xiong et al. 2020).

    Attributes:
        dropout: share of what each f adds that is dropped in training (Srivastava et al. 2014).
        recomputed: only the input is kept for the backward pass (Chen et al. 2016).
    """

    def __init__(
        self,
        norm: Callable[[], nn.Module],
        self_attn: Attention,
        mlp: nn.Module,
        *,
        cross_attn: Attention | None = None,
        norm_first: bool = True,
    ) -> None:
        """Makes the norms around attention and MLP.

        Args:
            norm: makes one norm of the hidden size.
            cross_attn: attention to the source.
        """
        super().__init__()
        self.dropout = 0.0
        self.recomputed = False
        self._norm_first = norm_first
        self.self_attn_norm = norm()
        self.self_attn = self_attn
        self.cross_attn_norm = None if cross_attn is None else norm()
        self.cross_attn = cross_attn
        self.mlp_norm = norm()
        self.mlp = mlp

    def forward(
        self, x_BTD: Tensor, context: LayerContext, cache: LayerCache | None = None
    ) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        if self.recomputed and torch.is_grad_enabled():
            again: Tensor = checkpoint(self._forward, x_BTD, context, cache, use_reentrant=False)
            return again
        return self._forward(x_BTD, context, cache)

    def _forward(self, x_BTD: Tensor, context: LayerContext, cache: LayerCache | None) -> Tensor:
        def to_itself(x_BTD: Tensor) -> Tensor:
            rotation, mask = context.rotation, context.mask_BTS
            out: Tensor = self.self_attn(x_BTD, rotation=rotation, mask_BTS=mask, cache=cache)
            return out

        x_BTD = self._added(x_BTD, self.self_attn_norm, to_itself)
        if self.cross_attn is not None and self.cross_attn_norm is not None:
            assert context.source_BSD is not None, "there is no source to look at"
            cross_attn, source, mask = self.cross_attn, context.source_BSD, context.source_mask_BTS
            x_BTD = self._added(
                x_BTD,
                self.cross_attn_norm,
                lambda x_BTD: cross_attn.to_source(x_BTD, source, mask, cache),
            )
        return self._added(x_BTD, self.mlp_norm, self.mlp)

    def _added(self, x_BTD: Tensor, norm: nn.Module, f: Callable[[Tensor], Tensor]) -> Tensor:
        out: Tensor
        if self._norm_first:
            out = x_BTD + self._dropped(f(norm(x_BTD)))
        else:
            out = norm(x_BTD + self._dropped(f(x_BTD)))
        return out

    def _dropped(self, x_BTD: Tensor) -> Tensor:
        return dropout(x_BTD, self.dropout) if self.training else x_BTD
