"""The causal language model, as plain single-device PyTorch, and its loss.

Shape suffixes as in `model.blocks`; V is the vocabulary, P the vocabulary padded.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from model.blocks import Block, LayerCache, Linear, RMSNorm, document_mask, rotation
from model.config import IGNORED, CausalLMConfig


def padded_vocab_size(vocab_size: int) -> int:
    """The next multiple of 64, at which the head's matrix products run 1.1 to 1.4 times as fast."""
    return math.ceil(vocab_size / 64) * 64


class Decoder(nn.Module):
    """A Qwen3-shaped decoder with fp32 parameters.

    The embedding and the head have `padded_vocab_size(vocab_size)` rows; those beyond the
    vocabulary never reach a logit, a loss or an exported file.

    Attributes:
        config: its shape.
        vocab_size: V, ids of the tokenizer.
        compute_dtype: of everything between the embeddings and the logits.
        dropout: share of the embeddings that is dropped in training; see `set_dropout`.
    """

    def __init__(
        self,
        config: CausalLMConfig,
        vocab_size: int,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.compute_dtype = compute_dtype
        self.dropout = 0.0
        rows = padded_vocab_size(vocab_size)
        self.embed_tokens = nn.Embedding(rows, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = None if config.tie_word_embeddings else Linear(config.hidden_size, rows)

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
        hidden_BTD = self._hidden(ids_BT, [None] * len(self.layers), positions_BT)
        if targets_BT is None:
            return self._logits(hidden_BTD)
        rows = hidden_BTD.flatten(0, 1), self._head_weight, targets_BT.flatten(), self.vocab_size
        if not torch.is_grad_enabled():
            return _head_and_loss(*rows, gradients=None)
        loss: Tensor = _SummedCrossEntropy.apply(*rows)  # type: ignore[no-untyped-call]
        return loss

    def continue_from(self, ids_BT: Tensor, caches: Sequence[LayerCache]) -> Tensor:
        """Reads positions after those in `caches`, one a layer, and appends to them.

        The first call may read any number of positions, a later one exactly one.

        Returns:
            logits_BV of the token after the last position.
        """
        return self._logits(self._hidden(ids_BT, caches)[:, -1])

    def _hidden(
        self,
        ids_BT: Tensor,
        caches: Sequence[LayerCache | None],
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        x_BTD: Tensor = self.embed_tokens(ids_BT).to(self.compute_dtype)
        if self.dropout:
            x_BTD = F.dropout(x_BTD, self.dropout, self.training)
        if positions_BT is None:
            start = caches[0].length if caches[0] is not None else 0
            positions = torch.arange(start, start + ids_BT.shape[1], device=ids_BT.device)
            mask = None
        else:
            positions, mask = positions_BT, document_mask(positions_BT, x_BTD.dtype)
        angles = rotation(positions, self.config, x_BTD.dtype)
        for layer, cache in zip(self.layers, caches, strict=True):
            x_BTD = layer(x_BTD, angles, cache, mask)
        out: Tensor = self.norm(x_BTD)
        return out

    def _logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self._head_weight.to(hidden.dtype))[..., : self.vocab_size]

    @property
    def _head_weight(self) -> Tensor:
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def set_dropout(self, share: float) -> None:
        """Drops this share of the embeddings, and of what every layer adds, in training."""
        self.dropout = share
        for layer in self.layers:
            assert isinstance(layer, Block)
            layer.dropout = share

    def recompute_layers(self) -> None:
        """Keeps only the inputs of layers for the backward pass, which computes the rest again."""
        for layer in self.layers:
            assert isinstance(layer, Block)
            layer.recomputed = True

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Fills every parameter; the same seed gives the same bits on every device.

        Matrices that read the residual stream are normal with variance 1/fan_in. Those that write
        to it start at zero, and an untied head too, so that every block begins as the identity
        and the first prediction is (nearly) uniform. Embeddings are normal with variance 1, as
        the norm after them would make them, or small where they are the head too.
        """
        embeddings = 0.02 if self.lm_head is None else 1.0
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
            elif "o_proj" in name or "down_proj" in name or "lm_head" in name:
                parameter.zero_()
            else:
                std = embeddings if "embed_tokens" in name else parameter.shape[1] ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


class _SummedCrossEntropy(torch.autograd.Function):
    """Head and cross-entropy in one; see `_head_and_loss`."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_PD: Tensor, targets_N: Tensor, vocab_size: int
    ) -> Tensor:
        gradients = torch.empty_like(hidden_ND), torch.zeros_like(weight_PD)
        ctx.save_for_backward(*gradients)
        return _head_and_loss(hidden_ND, weight_PD, targets_N, vocab_size, gradients)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad.to(grad_hidden.dtype), grad_weight * grad, None, None


def _head_and_loss(
    hidden_ND: Tensor,
    weight_PD: Tensor,
    targets_N: Tensor,
    vocab_size: int,
    gradients: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """Σ log Σ exp(logits) - logits[target] over the rows not ignored.

    The gradient by the logits, softmax - one-hot, is worked out a few hundred rows at a time
    together with the loss, while they are still in the cache. The logits of a batch, by far the
    largest tensor of a small model, never exist as a whole.

    Args:
        gradients: filled with those by hidden_ND and weight_PD, unless None.
    """
    cast_PD = weight_PD.to(hidden_ND.dtype)
    total = torch.zeros((), dtype=weight_PD.dtype, device=hidden_ND.device)
    rows = 256 if hidden_ND.device.type == "cpu" else 8192
    for start in range(0, len(hidden_ND), rows):
        part = slice(start, start + rows)
        logits_NP = hidden_ND[part] @ cast_PD.T
        logits_NP[:, vocab_size:] = -torch.inf
        loss, softmax_NP = _cross_entropy(logits_NP, targets_N[part])
        total += loss
        if gradients is not None:
            grad_NP = _minus_one_hot(softmax_NP.to(logits_NP.dtype), targets_N[part])
            torch.mm(grad_NP, cast_PD, out=gradients[0][part])
            gradients[1].add_(grad_NP.T @ hidden_ND[part])
    return total


def _cross_entropy(logits_NP: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Summed loss of the rows not ignored, and the softmax; in fp32 at least."""
    wide = torch.promote_types(logits_NP.dtype, torch.float32)
    chosen_N = logits_NP.gather(1, targets_N.clamp(min=0).unsqueeze(1)).squeeze(1).to(wide)
    softmax_NP = logits_NP.to(wide).softmax(-1)
    # The largest probability is exp(max - log Σ exp), at least 1/P: its logarithm gives the
    # normalizer without a second pass of exponentials, and never underflows.
    normalizer_N = logits_NP.amax(-1).to(wide) - softmax_NP.amax(-1).log()
    loss = torch.where(targets_N == IGNORED, 0, normalizer_N - chosen_N).sum()
    return loss, softmax_NP


def _minus_one_hot(softmax_NP: Tensor, targets_N: Tensor) -> Tensor:
    """Subtracts 1 at each target, in place; ignored rows become zero."""
    targets_N1 = targets_N.unsqueeze(1)
    ones = softmax_NP.new_full(targets_N1.shape, -1.0)
    softmax_NP.scatter_add_(1, targets_N1.clamp(min=0), ones)
    return softmax_NP.masked_fill_(targets_N1 == IGNORED, 0)
