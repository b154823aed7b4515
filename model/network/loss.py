"""Head and cross-entropy in one, so that the logits of a batch never exist as a whole.

Shape suffixes: N rows, D hidden size, V vocabulary, P vocabulary padded.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from corpusmill.model.network.config import IGNORED


def padded_vocab_size(vocab_size: int) -> int:
    """The next multiple of 64, at which the head's matrix products run 1.1 to 1.4 times as fast."""
    return math.ceil(vocab_size / 64) * 64


class Head(NamedTuple):
    """What turns hidden states into logits.

    Attributes:
        weight_PD, bias_P: fp32.
        vocab_size: V; rows beyond it are no answers.
        smoothing: share of the target that is spread evenly over the vocabulary (Szegedy et al.
            2016, §7).
    """

    weight_PD: Tensor
    bias_P: Tensor | None
    vocab_size: int
    smoothing: float = 0.0


def summed_cross_entropy(hidden_ND: Tensor, head: Head, targets_N: Tensor) -> Tensor:
    """The sum of -log p(target) over the rows whose target is not -100, in nats, fp32."""
    if not torch.is_grad_enabled():
        return _head_and_loss(hidden_ND, head, targets_N, gradients=None)
    loss: Tensor = _SummedCrossEntropy.apply(hidden_ND, targets_N, *head)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def each_cross_entropy(hidden_ND: Tensor, head: Head, targets_N: Tensor) -> Tensor:
    """-log p(target) of each row, 0 where the target is -100, in nats, fp32; (N,)."""
    cast, rows = _cast(head, hidden_ND.dtype), _rows_at_once(hidden_ND)
    parts = (slice(start, start + rows) for start in range(0, len(hidden_ND), rows))
    losses = [
        _cross_entropy(_logits(hidden_ND[part], cast), targets_N[part], head)[0] for part in parts
    ]
    return torch.cat(losses)


class _SummedCrossEntropy(torch.autograd.Function):
    """See `_head_and_loss`."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, targets_N: Tensor, *head: Any) -> Tensor:
        parts = Head(*head)
        gradients = [torch.empty_like(hidden_ND), torch.zeros_like(parts.weight_PD)]
        if parts.bias_P is not None:
            gradients.append(torch.zeros_like(parts.bias_P))
        ctx.save_for_backward(*gradients)
        return _head_and_loss(hidden_ND, parts, targets_N, gradients)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *others = ctx.saved_tensors
        weight, bias = others[0] * grad, others[1] * grad if len(others) > 1 else None
        return hidden * grad.to(hidden.dtype), None, weight, bias, None, None


def _head_and_loss(
    hidden_ND: Tensor, head: Head, targets_N: Tensor, gradients: list[Tensor] | None
) -> Tensor:
    """Σ log Σ exp(logits) - logits[target] over the rows not ignored.

    The gradient by the logits, softmax - one-hot, is worked out a few hundred rows at a time
    together with the loss, while they are still in the cache. The logits of a batch, by far the
    largest tensor of a small model, never exist as a whole.

    Args:
        gradients: filled with those by hidden_ND, the weight and the bias, unless None.
    """
    cast, rows = _cast(head, hidden_ND.dtype), _rows_at_once(hidden_ND)
    total = torch.zeros((), dtype=head.weight_PD.dtype, device=hidden_ND.device)
    for start in range(0, len(hidden_ND), rows):
        part = slice(start, start + rows)
        logits_NP = _logits(hidden_ND[part], cast)
        losses_N, softmax_NP = _cross_entropy(logits_NP, targets_N[part], head)
        total += losses_N.sum()
        if gradients is not None:
            grad_NP = _minus_target(softmax_NP.to(logits_NP.dtype), targets_N[part], head)
            torch.mm(grad_NP, cast.weight_PD, out=gradients[0][part])
            gradients[1].add_(grad_NP.T @ hidden_ND[part])
            if head.bias_P is not None:
                gradients[2].add_(grad_NP.sum(0, dtype=head.bias_P.dtype))
    return total


def _cast(head: Head, dtype: torch.dtype) -> Head:
    bias_P = None if head.bias_P is None else head.bias_P.to(dtype)
    return head._replace(weight_PD=head.weight_PD.to(dtype), bias_P=bias_P)


def _rows_at_once(hidden_ND: Tensor) -> int:
    return 256 if hidden_ND.device.type == "cpu" else 8192


def _logits(hidden_ND: Tensor, cast: Head) -> Tensor:
    """Logits of these rows, -∞ beyond the vocabulary; (N, P)."""
    logits_NP = hidden_ND @ cast.weight_PD.T
    if cast.bias_P is not None:
        logits_NP += cast.bias_P
    logits_NP[:, cast.vocab_size :] = -torch.inf
    return logits_NP


def _cross_entropy(logits_NP: Tensor, targets_N: Tensor, head: Head) -> tuple[Tensor, Tensor]:
    """Loss of each row, 0 where it is ignored, and the softmax; in fp32 at least."""
    wide = torch.promote_types(logits_NP.dtype, torch.float32)
    chosen_N = logits_NP.gather(1, targets_N.clamp(min=0).unsqueeze(1)).squeeze(1).to(wide)
    if head.smoothing:
        mean_N = logits_NP[:, : head.vocab_size].mean(-1, dtype=wide)
        chosen_N = (1 - head.smoothing) * chosen_N + head.smoothing * mean_N
    softmax_NP = logits_NP.to(wide).softmax(-1)
    # The largest probability is exp(max - log Σ exp), at least 1/P: its logarithm gives the
    # normalizer without a second pass of exponentials, and never underflows.
    normalizer_N = logits_NP.amax(-1).to(wide) - softmax_NP.amax(-1).log()
    return torch.where(targets_N == IGNORED, 0, normalizer_N - chosen_N), softmax_NP


def _minus_target(softmax_NP: Tensor, targets_N: Tensor, head: Head) -> Tensor:
    """Subtracts the (smoothed) target, in place; ignored rows become zero."""
    targets_N1 = targets_N.unsqueeze(1)
    if head.smoothing:
        softmax_NP[:, : head.vocab_size] -= head.smoothing / head.vocab_size
    ones = softmax_NP.new_full(targets_N1.shape, head.smoothing - 1.0)
    softmax_NP.scatter_add_(1, targets_N1.clamp(min=0), ones)
    return softmax_NP.masked_fill_(targets_N1 == IGNORED, 0)
