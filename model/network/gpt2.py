"""The shape of GPT-2: learned positions, LayerNorm first, GELU (Radford et al. 2019, §2.3).

Shape suffixes as in `model.network.attention`.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from model.network.attention import Attention, LayerCache
from model.network.block import Block, Surroundings
from model.network.config import GPT2Config
from model.network.decoder import CausalNetwork
from model.network.feed_forward import FeedForward
from model.network.norms import LayerNorm


class GPT2(CausalNetwork):
    """The decoder that most of the field's literature is about.

    Attributes:
        config: its shape.
    """

    config: GPT2Config
    drops_attention = True

    def __init__(
        self,
        config: GPT2Config,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        tied = config.tie_word_embeddings
        super().__init__(config, vocab_size, compute_dtype, tied=tied)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_hidden_layers))
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def _hidden(
        self,
        ids_BT: Tensor,
        positions: Tensor,
        mask_BTS: Tensor | None,
        caches: Sequence[LayerCache | None],
    ) -> Tensor:
        embedded_BTD = self.embed_tokens(ids_BT) + self.embed_positions(positions)
        x_BTD = self.dropped(embedded_BTD.to(self.compute_dtype))
        around = Surroundings(mask_BTS=mask_BTS)
        for layer, cache in zip(self.layers, caches, strict=True):
            x_BTD = layer(x_BTD, around, cache)
        out: Tensor = self.norm(x_BTD)
        return out


def _block(config: GPT2Config) -> Block:
    heads, width = config.num_attention_heads, config.hidden_size
    attention = Attention(width, heads, width // heads, causal=True)
    mlp = FeedForward(width, config.intermediate_size, config.hidden_act)
    return Block(partial(LayerNorm, width, config.layer_norm_eps), attention, mlp)
