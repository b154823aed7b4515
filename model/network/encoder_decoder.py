"""The Transformer of Vaswani et al. 2017: an encoder reads, a decoder writes.

Shape suffixes as in `corpusmill.model.network.attention`.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from corpusmill.model.network.attention import Attention, LayerCache, padding_mask
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.block import Block, LayerContext
from corpusmill.model.network.config import IGNORED, EncoderDecoderConfig
from corpusmill.model.network.feed_forward import FeedForward
from corpusmill.model.network.loss import summed_cross_entropy
from corpusmill.model.network.norms import LayerNorm
from corpusmill.model.network.positions import sinusoids

_NORM_EPS = 1e-5  # which the Hugging Face format has no field for


class EncoderDecoder(LanguageModel):
    """Sinusoidal positions; the norm after each addition as in the paper, or before it.

    With the norm first each half ends in a norm of its own.

    Attributes:
        config: its shape.
    """

    config: EncoderDecoderConfig

    def __init__(
        self,
        config: EncoderDecoderConfig,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        tied = config.tie_word_embeddings
        super().__init__(config, vocab_size, compute_dtype, tied=tied)
        self.encoder = nn.ModuleList(
            _block(config, decodes=False) for _ in range(config.num_encoder_layers)
        )
        self.layers = nn.ModuleList(
            _block(config, decodes=True) for _ in range(config.num_decoder_layers)
        )
        norm = partial(LayerNorm, config.hidden_size, _NORM_EPS)
        self.encoder_norm = norm() if config.norm_first else None
        self.norm = norm() if config.norm_first else None
        self.head_bias = nn.Parameter(torch.zeros(self.embed_tokens.num_embeddings))

    @property
    def head_gain(self) -> Tensor:
        """Gain of the norm whose output the head reads, (D,)."""
        if self.norm is not None:
            return self.norm.weight
        *_, last = self.blocks()
        assert isinstance(last.mlp_norm, LayerNorm)
        return last.mlp_norm.weight

    def forward(
        self,
        source_BS: Tensor,
        ids_BT: Tensor,
        targets_BT: Tensor | None = None,
        *,
        lengths_B: Tensor,
    ) -> Tensor:
        """Logits of the next token, or the loss when targets are given.

        Args:
            source_BS: token ids that are read, int64.
            ids_BT: token ids written so far, the start token first; padding may stand behind.
            targets_BT: the id that follows each of them; -100 where nothing is to be learned.
            lengths_B: positions of each source before its padding.

        Returns:
            logits_BTV in the compute dtype; with targets the sum over all positions of
            -log p(target), smoothed in training, in nats, fp32.
        """
        context = self.read(source_BS, lengths_B)
        hidden_BTD = self._written(ids_BT, context, [None] * len(self.layers))
        if targets_BT is None:
            return self.logits(hidden_BTD)
        # A third of the work is the head's: padding is left out of it.
        used = targets_BT != IGNORED
        return summed_cross_entropy(hidden_BTD[used], self.head, targets_BT[used])

    def states(
        self,
        ids_BT: Tensor,
        lengths_B: Tensor,
        segments_BT: Tensor | None = None,  # noqa: ARG002 - it reads one text
    ) -> Tensor:
        """The last hidden states of the encoder, (B, T, D)."""
        states_BTD = self.read(ids_BT, lengths_B).source_BSD
        assert states_BTD is not None
        return states_BTD

    def drop_head(self) -> None:
        """Takes out the decoder."""
        super().drop_head()
        self.layers, self.norm = nn.ModuleList(), None

    def read(self, source_BS: Tensor, lengths_B: Tensor) -> LayerContext:
        """Encodes sources: what the decoder looks at."""
        mask = padding_mask(lengths_B, source_BS.shape[1], self.compute_dtype)
        x_BSD, context = self._embedded(source_BS, 0), LayerContext(mask_BTS=mask)
        for layer in self.encoder:
            x_BSD = layer(x_BSD, context)
        if self.encoder_norm is not None:
            x_BSD = self.encoder_norm(x_BSD)
        return LayerContext(source_BSD=x_BSD, source_mask_BTS=mask)

    def continue_from(
        self, ids_BT: Tensor, context: LayerContext, caches: Sequence[LayerCache]
    ) -> Tensor:
        """Reads positions after those in `caches`, one a layer, and appends to them.

        Args:
            context: of `read`.

        Returns:
            logits_BV of the token after the last position.
        """
        return self.logits(self._written(ids_BT, context, caches)[:, -1])

    def _written(
        self, ids_BT: Tensor, context: LayerContext, caches: Sequence[LayerCache | None]
    ) -> Tensor:
        start = caches[0].length if caches[0] is not None else 0
        x_BTD = self._embedded(ids_BT, start)
        for layer, cache in zip(self.layers, caches, strict=True):
            x_BTD = layer(x_BTD, context, cache)
        return x_BTD if self.norm is None else self.norm(x_BTD)

    def _embedded(self, ids_BT: Tensor, start: int) -> Tensor:
        width, dtype = self.config.hidden_size, self.compute_dtype
        positions = torch.arange(start, start + ids_BT.shape[1], device=ids_BT.device)
        # Scaled by √D (§3.4), so that they weigh as much as the positions.
        scaled_BTD = (self.embed_tokens(ids_BT) * math.sqrt(width)).to(dtype)
        return self.dropped(scaled_BTD + sinusoids(positions, width, dtype))

    def embedding_std(self, width: int) -> float:
        """Standard deviation with which embeddings of this width begin: 1 when scaled by √D."""
        return 1 / math.sqrt(width)


def _block(config: EncoderDecoderConfig, *, decodes: bool) -> Block:
    heads, width = config.num_attention_heads, config.hidden_size
    head_dim = width // heads
    return Block(
        partial(LayerNorm, width, _NORM_EPS),
        Attention(width, heads, head_dim, causal=decodes),
        FeedForward(width, config.intermediate_size, config.hidden_act),
        cross_attn=Attention(width, heads, head_dim, causal=False) if decodes else None,
        norm_first=config.norm_first,
    )
