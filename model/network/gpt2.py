"""The shape of GPT-2: learned positions, LayerNorm first, GELU (Radford et al. 2019, §2.3).

Shape suffixes as in `corpusmill.model.network.attention`.
"""

from functools import partial

import torch
from torch import Tensor, nn

from corpusmill.model.network.attention import Attention
from corpusmill.model.network.block import Block
from corpusmill.model.network.config import GPT2Config
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.embedding import Embedding
from corpusmill.model.network.feed_forward import FeedForward
from corpusmill.model.network.norms import LayerNorm
from corpusmill.model.network.positions import Rotation


class GPT2(CausalNetwork):
    """The decoder that most of the field's literature is about.

    Attributes:
        config: its shape.
    """

    config: GPT2Config
    norm: LayerNorm
    drops_attention = True

    def __init__(
        self,
        config: GPT2Config,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        tied = config.tie_word_embeddings
        super().__init__(config, vocab_size, compute_dtype, tied=tied)
        positions, width = config.max_position_embeddings, config.hidden_size
        self.embed_positions = Embedding(positions, width, self.embeds)
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_hidden_layers))
        self.norm = LayerNorm(width, config.layer_norm_eps)

    def _embedded(self, ids_BT: Tensor, positions: Tensor) -> tuple[Tensor, Rotation | None]:
        embedded_BTD = self.embed_tokens(ids_BT) + self.embed_positions(positions)
        return embedded_BTD.to(self.compute_dtype), None


def _block(config: GPT2Config) -> Block:
    heads, width = config.num_attention_heads, config.hidden_size
    attention = Attention(width, heads, width // heads, causal=True)
    mlp = FeedForward(width, config.intermediate_size, config.hidden_act)
    return Block(partial(LayerNorm, width, config.layer_norm_eps), attention, mlp)
