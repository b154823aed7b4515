"""The modern decoder: RMSNorm, rotary positions, SwiGLU, grouped queries, normed queries and keys.

Shape suffixes as in `corpusmill.model.network.attention`; V is the vocabulary.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from corpusmill.model.network.attention import Attention, LayerCache, document_mask
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.block import Block, LayerContext
from corpusmill.model.network.config import IGNORED, DecoderConfig
from corpusmill.model.network.feed_forward import SwiGLU
from corpusmill.model.network.loss import each_cross_entropy, summed_cross_entropy
from corpusmill.model.network.norms import LayerNorm, RMSNorm
from corpusmill.model.network.positions import Rotation, rotation

_ROWS_AT_ONCE = 1024  # of logits


class CausalNetwork(LanguageModel):
    """A network that predicts every token from those before it.

    A subclass says in `_embedded` how positions come in.

    Attributes:
        layers: of blocks.
        norm: of what the last of them gives.
    """

    layers: nn.ModuleList
    norm: RMSNorm | LayerNorm

    @property
    def head_gain(self) -> Tensor:
        """Gain of the norm whose output the head reads, (D,)."""
        return self.norm.weight

    def forward(
        self,
        ids_BT: Tensor,
        targets_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token, or the loss when targets are given.

        Args:
            ids_BT: token ids, int64.
            targets_BT: the id that follows each position; -100 where nothing is to be learned.
            positions_BT: place of each input in its document, int64; a document begins at each 0,
                and attention does not leave it. Without them a row is one text.

        Returns:
            logits_BTV in the compute dtype; with targets the sum over all positions of
            -log p(target), in nats, fp32. Divide it by the tokens of all processes' micro-batches.
        """
        mask = None if positions_BT is None else document_mask(positions_BT, self.compute_dtype)
        if positions_BT is None:
            positions_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        hidden_BTD = self._hidden(ids_BT, positions_BT, mask, [None] * len(self.layers))
        if targets_BT is None:
            return self.logits(hidden_BTD)
        return summed_cross_entropy(hidden_BTD.flatten(0, 1), self.head, targets_BT.flatten())

    def states(
        self,
        ids_BT: Tensor,
        lengths_B: Tensor,  # noqa: ARG002 - nothing sees the padding after it
        segments_BT: Tensor | None = None,  # noqa: ARG002 - it reads one text
    ) -> Tensor:
        """The last hidden states of texts by themselves, (B, T, D)."""
        positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        return self._hidden(ids_BT, positions, None, [None] * len(self.layers))

    def nats(self, ids_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """-log p of each target by itself, 0 where it is -100, in nats, fp32; (B, T).

        Args:
            ids_BT, targets_BT: as of `forward`; a row is one text.
        """
        positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        hidden_BTD = self._hidden(ids_BT, positions, None, [None] * len(self.layers))
        nats_N = each_cross_entropy(hidden_BTD.flatten(0, 1), self.head, targets_BT.flatten())
        return nats_N.view(targets_BT.shape)

    def answers(self, ids_BT: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of the N targets that are not -100, row by row, in nats, fp32 (N,), and whether
        each is the likeliest, bool (N,).

        Args:
            ids_BT, targets_BT: as of `nats`.
        """
        positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        hidden_BTD = self._hidden(ids_BT, positions, None, [None] * len(self.layers))
        used = targets_BT != IGNORED
        hidden_ND, wanted_N = hidden_BTD[used], targets_BT[used]
        nats, likeliest = [], []
        for start in range(0, len(wanted_N), _ROWS_AT_ONCE):
            targets_N = wanted_N[start : start + _ROWS_AT_ONCE]
            logits_NV = self.logits(hidden_ND[start : start + _ROWS_AT_ONCE]).float()
            nats.append(cross_entropy(logits_NV, targets_N, reduction="none"))
            likeliest.append(logits_NV.argmax(-1) == targets_N)
        return torch.cat(nats), torch.cat(likeliest)

    def continue_from(self, ids_BT: Tensor, caches: Sequence[LayerCache]) -> Tensor:
        """Reads positions after those in `caches`, one a layer, and appends to them.

        The first call may read any number of positions, a later one exactly one.

        Returns:
            logits_BV of the token after the last position.
        """
        start = caches[0].length
        positions = torch.arange(start, start + ids_BT.shape[1], device=ids_BT.device)
        return self.logits(self._hidden(ids_BT, positions, None, caches)[:, -1])

    def _hidden(
        self,
        ids_BT: Tensor,
        positions: Tensor,
        mask_BTS: Tensor | None,
        caches: Sequence[LayerCache | None],
    ) -> Tensor:
        embedded_BTD, angles = self._embedded(ids_BT, positions)
        x_BTD, context = self.dropped(embedded_BTD), LayerContext(angles, mask_BTS)
        for layer, cache in zip(self.layers, caches, strict=True):
            x_BTD = layer(x_BTD, context, cache)
        out: Tensor = self.norm(x_BTD)
        return out

    @abstractmethod
    def _embedded(self, ids_BT: Tensor, positions: Tensor) -> tuple[Tensor, Rotation | None]:
        """Embeddings in the compute dtype, and by what queries and keys are turned."""


class Decoder(CausalNetwork):
    """A Qwen3-shaped decoder.

    Attributes:
        config: its shape.
    """

    config: DecoderConfig
    norm: RMSNorm

    def __init__(
        self,
        config: DecoderConfig,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        tied = config.tie_word_embeddings
        super().__init__(config, vocab_size, compute_dtype, tied=tied)
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def _embedded(self, ids_BT: Tensor, positions: Tensor) -> tuple[Tensor, Rotation | None]:
        x_BTD: Tensor = self.embed_tokens(ids_BT).to(self.compute_dtype)
        angles = rotation(positions, self.config.head_dim, self.config.rope_theta, x_BTD.dtype)
        return x_BTD, angles


def _block(config: DecoderConfig) -> Block:
    attention = Attention(
        config.hidden_size,
        config.num_attention_heads,
        config.head_dim,
        key_value_heads=config.num_key_value_heads,
        bias=False,
        norm_eps=config.rms_norm_eps,
        causal=True,
    )
    mlp = SwiGLU(config.hidden_size, config.intermediate_size)
    return Block(partial(RMSNorm, config.hidden_size, config.rms_norm_eps), attention, mlp)
