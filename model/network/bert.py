"""BERT: an encoder that fills in what is masked, and may judge whether B follows A.

Devlin et al. 2019. Shape suffixes as in `corpusmill.model.network.attention`; M places to predict a
sequence.
"""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from corpusmill.model.network.attention import Attention, document_mask, padding_mask
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.block import Block, LayerContext
from corpusmill.model.network.config import BertConfig
from corpusmill.model.network.embedding import Embedding
from corpusmill.model.network.feed_forward import ACTIVATIONS, FeedForward
from corpusmill.model.network.linear import Linear
from corpusmill.model.network.loss import summed_cross_entropy
from corpusmill.model.network.neighbours import glances, waves
from corpusmill.model.network.norms import LayerNorm


class Bert(LanguageModel):
    """Learned positions and segments, LayerNorm after each addition, GELU.

    Attributes:
        config: its shape.
    """

    config: BertConfig
    drops_attention = True

    def __init__(
        self,
        config: BertConfig,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        width, eps = config.hidden_size, config.layer_norm_eps
        super().__init__(config, vocab_size, compute_dtype, tied=True)
        self.embed_positions = Embedding(config.max_position_embeddings, width, "positions")
        self.embed_segments = Embedding(config.type_vocab_size, width, self.embeds)
        self.embedding_norm = LayerNorm(width, eps)
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_hidden_layers))
        self.transform: Linear | None = Linear(width, width, bias=True)
        self.transform_norm: LayerNorm | None = LayerNorm(width, eps)
        self.head_bias = nn.Parameter(torch.zeros(self.embed_tokens.num_embeddings))
        if config.next_sentence:
            self.losses = ("masked_lm", "next_sentence")
        self.pooler = Linear(width, width, bias=True) if config.next_sentence else None
        self.next_head = Linear(width, 2, bias=True) if config.next_sentence else None

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """As of any network, but that the first layer looks at neighbours."""
        super().init_weights(seed)
        width, heads = self.config.hidden_size, self.config.num_attention_heads
        self.embed_positions.weight.copy_(waves(self.config.max_position_embeddings, width))
        first = cast(Block, self.layers[0]).self_attn
        queries, keys = glances(width, heads, torch.Generator().manual_seed(seed))
        first.q_proj.weight.copy_(queries)
        first.k_proj.weight.copy_(keys)

    @property
    def head_gain(self) -> Tensor:
        """Gain of the norm whose output the head reads, (D,)."""
        assert self.transform_norm is not None
        return self.transform_norm.weight

    def forward(
        self,
        ids_BT: Tensor,
        *,
        lengths_B: Tensor,
        segments_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
        places_BM: Tensor | None = None,
        targets_BM: Tensor | None = None,
        random_next_B: Tensor | None = None,
    ) -> Tensor:
        """Logits at every position, or the losses when targets are given.

        Args:
            ids_BT: token ids, int64, some of them masked.
            lengths_B: positions of each sequence before its padding.
            segments_BT: 0 for the first text of a pair, 1 for the second.
            positions_BT: place of each input in its document, where attention stays within one.
            places_BM: which positions are predicted.
            targets_BM: the ids that stood there; -100 where M is more than there are.
            random_next_B: 1 where the second text does not follow the first, 0 where it does.

        Returns:
            logits_BTV; with targets the sum over all places of -log p(target), and with
            random_next_B, in a second number, the sum over all sequences of -log p(random_next).
            In nats, fp32.
        """
        hidden_BTD = self.hidden(ids_BT, lengths_B, segments_BT, positions_BT)
        if places_BM is None or targets_BM is None:
            return self.logits(self._transformed(hidden_BTD))
        chosen_ND = self._at(hidden_BTD, places_BM)
        masked = summed_cross_entropy(chosen_ND, self.head, targets_BM.flatten())
        if random_next_B is None:
            return masked
        logits_B2 = self.next_logits(hidden_BTD).float()
        return torch.stack([masked, cross_entropy(logits_B2, random_next_B, reduction="sum")])

    def states(
        self, ids_BT: Tensor, lengths_B: Tensor, segments_BT: Tensor | None = None
    ) -> Tensor:
        """The last hidden states of texts by themselves, (B, T, D)."""
        return self.hidden(ids_BT, lengths_B, segments_BT)

    def drop_head(self) -> None:
        """Takes out what fills in masked tokens, and what judges if B follows A."""
        super().drop_head()
        self.transform = self.transform_norm = self.pooler = self.next_head = None

    def hidden(
        self,
        ids_BT: Tensor,
        lengths_B: Tensor,
        segments_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """The last hidden states, (B, T, D); arguments as of `forward`."""
        dtype, length = self.compute_dtype, ids_BT.shape[1]
        if positions_BT is None:
            positions = torch.arange(length, device=ids_BT.device)
            mask = padding_mask(lengths_B, length, dtype)
        else:
            positions, mask = positions_BT, document_mask(positions_BT, dtype, causal=False)
        segments = torch.zeros_like(ids_BT) if segments_BT is None else segments_BT
        embedded_BTD = self.embed_tokens(ids_BT) + self.embed_segments(segments)
        embedded_BTD = embedded_BTD + self.embed_positions(positions)
        x_BTD = self.dropped(self.embedding_norm(embedded_BTD.to(dtype)))
        context = LayerContext(mask_BTS=mask)
        for layer in self.layers:
            x_BTD = layer(x_BTD, context)
        return x_BTD

    def masked_logits(self, hidden_BTD: Tensor, places_BM: Tensor) -> Tensor:
        """Logits at these places, (B · M, V)."""
        return self.logits(self._at(hidden_BTD, places_BM))

    def _at(self, hidden_BTD: Tensor, places_BM: Tensor) -> Tensor:
        places_BMD = places_BM.unsqueeze(-1).expand(-1, -1, hidden_BTD.shape[-1])
        return self._transformed(hidden_BTD.gather(1, places_BMD).flatten(0, 1))

    def next_logits(self, hidden_BTD: Tensor) -> Tensor:
        """Logits (B, 2) of "B follows A" and "B is a random text", from the first position."""
        assert self.pooler is not None and self.next_head is not None
        logits: Tensor = self.next_head(torch.tanh(self.pooler(hidden_BTD[:, 0])))
        return logits

    def _transformed(self, hidden: Tensor) -> Tensor:
        assert self.transform is not None and self.transform_norm is not None
        activation = ACTIVATIONS[self.config.hidden_act]
        out: Tensor = self.transform_norm(activation(self.transform(hidden)))
        return out


def _block(config: BertConfig) -> Block:
    heads, width = config.num_attention_heads, config.hidden_size
    attention = Attention(width, heads, width // heads, causal=False)
    mlp = FeedForward(width, config.intermediate_size, config.hidden_act)
    norm = partial(LayerNorm, width, config.layer_norm_eps)
    return Block(norm, attention, mlp, norm_first=False)
