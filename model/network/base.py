"""What all networks share: precision, dropout, layers, how they begin."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.attention import Attention
from corpusmill.model.network.block import Block
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.network.dropout import dropout
from corpusmill.model.network.embedding import Embedding
from corpusmill.model.network.linear import Linear
from corpusmill.model.network.loss import Head, padded_vocab_size
from corpusmill.model.network.roles import BIAS, Kind, Role, with_roles
from corpusmill.storage.settings import ComputePrecision


class Network(nn.Module, ABC):
    """A single-device network with fp32 parameters, which knows nothing of ranks.

    Attributes:
        config: its shape.
        vocab_size: V, ids of the tokenizer.
        compute_dtype: of everything between the embeddings and the logits.
        dropout: share of the embeddings that is dropped in training; see `set_dropout`.
        smoothing: of the targets in training; see `corpusmill.model.network.loss`.
    """

    # What it learns, of which `forward` gives the sums.
    losses: tuple[str, ...] = ("",)
    # Whether attention weights are dropped too, as BERT and GPT-2 do.
    drops_attention = False

    def __init__(self, config: ModelConfig, vocab_size: int, compute_dtype: torch.dtype) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.compute_dtype = compute_dtype
        self.dropout = 0.0
        self.smoothing = 0.0

    @property
    def precision(self) -> ComputePrecision:
        """The name of `compute_dtype`."""
        return "bf16" if self.compute_dtype == torch.bfloat16 else "fp32"

    def blocks(self) -> Iterator[Block]:
        """All layers, in the order in which they compute."""
        return (module for module in self.modules() if isinstance(module, Block))

    def set_dropout(self, share: float) -> None:
        """Drops this share of the embeddings, and of what every layer adds, in training."""
        self.dropout = share
        for block in self.blocks():
            block.dropout = share
        for module in self.modules():
            if isinstance(module, Attention) and self.drops_attention:
                module.dropout = share

    def recompute_layers(self) -> None:
        """Keeps only the inputs of layers for the backward pass, which computes the rest again."""
        for block in self.blocks():
            block.recomputed = True

    def dropped(self, x: Tensor) -> Tensor:
        """Embeddings of which some numbers are dropped in training."""
        return dropout(x, self.dropout) if self.training else x

    @property
    def tied_gain(self) -> Tensor | None:
        """Gain of the norm before a head that is the embeddings too, (D,); None without one."""
        return None

    def embedding_std(self, width: int) -> float:  # noqa: ARG002 - of all but some
        """Standard deviation with which embeddings of this width begin."""
        return 1.0

    @abstractmethod
    def blank(self) -> "Network":
        """Another one of the same kind, with parameters that are yet to be filled."""


class LanguageModel(Network):
    """A network whose head gives tokens.

    The embedding and the head have `padded_vocab_size(vocab_size)` rows; those beyond the
    vocabulary never reach a logit, a loss or an exported file.

    Attributes:
        embeds: what its tables of embeddings are to the optimizer.
    """

    roles: Mapping[str, Role] = {"head_bias": BIAS}

    def __init__(
        self, config: ModelConfig, vocab_size: int, compute_dtype: torch.dtype, *, tied: bool
    ) -> None:
        super().__init__(config, vocab_size, compute_dtype)
        rows = padded_vocab_size(vocab_size)
        # What is added to embeddings that are the head too begins as small, and moves as the head.
        self.embeds: Kind = "head" if tied else "embeddings"
        self.embed_tokens = Embedding(rows, config.hidden_size, self.embeds)
        head = Role("head", "zeros")
        self.lm_head = None if tied else Linear(config.hidden_size, rows, role=head)
        self.head_bias: nn.Parameter | None
        self.register_parameter("head_bias", None)

    def blank(self) -> "LanguageModel":
        """Another one of the same kind, with parameters that are yet to be filled."""
        return type(self)(self.config, self.vocab_size, self.compute_dtype)  # type: ignore[call-arg]

    @abstractmethod
    def states(
        self, ids_BT: Tensor, lengths_B: Tensor, segments_BT: Tensor | None = None
    ) -> Tensor:
        """The last hidden states of texts by themselves, (B, T, D).

        Args:
            ids_BT: token ids, int64, padded at the end.
            lengths_B: positions of each sequence before its padding, 1 or more.
            segments_BT: 0 for the first text of a pair, 1 for the second, where it tells them.
        """

    def drop_head(self) -> None:
        """Takes out the parameters that `states` does not need."""
        self.lm_head = None
        self.head_bias = None

    @property
    def tied_gain(self) -> Tensor | None:
        """Gain of the norm before a head that is the embeddings too, (D,); None without one."""
        return self.head_gain if self.lm_head is None else None

    @property
    def head(self) -> Head:
        """What turns the last hidden states into logits."""
        weight = self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        smoothing = self.smoothing if self.training else 0.0
        return Head(weight, self.head_bias, self.vocab_size, smoothing)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) → (..., V)."""
        bias = None if self.head_bias is None else self.head_bias.to(hidden.dtype)
        all_rows = F.linear(hidden, self.head.weight_PD.to(hidden.dtype), bias)
        return all_rows[..., : self.vocab_size]

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Fills every parameter; the same seed gives the same bits on every device.

        Matrices that read the residual stream are normal with variance 1/fan_in. Those that write
        to it start at zero, and an untied head too, so that every layer begins as the identity
        (or a norm) and the first prediction is (nearly) uniform. Embeddings are normal with
        variance 1, as the norm after them would make them, or small where they are the head too.
        There a token's own embedding, which reaches the head through identities alone, would be
        predicted with a logit that grows with the width: the last norm begins so small that the
        logit is half of log V, and the share of that token among V about 1/√V.
        """
        generator = torch.Generator().manual_seed(seed)
        for parameter, role in with_roles(self):
            match role.begins:
                case "zeros":
                    parameter.zero_()
                case "ones":
                    parameter.fill_(1.0)
                case "fan_in" | "embedding":
                    fan_in = parameter.shape[1]
                    embeds = role.begins == "embedding"
                    std = self.embedding_std(fan_in) if embeds else fan_in**-0.5
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
        if self.lm_head is None:
            width = self.config.hidden_size
            own_logit = width * self.embedding_std(width)
            self.head_gain.fill_(math.log(self.vocab_size) / 2 / own_logit)

    @property
    @abstractmethod
    def head_gain(self) -> Tensor:
        """Gain of the norm whose output the head reads, (D,)."""

    def embedding_std(self, width: int) -> float:  # noqa: ARG002 - of all but some
        """Standard deviation with which embeddings of this width begin."""
        return 0.02 if self.lm_head is None else 1.0
