"""Whether numbers may be published: those that are not finite may not, anywhere.

Weights that are finite may still give what is not: too large for what is computed with them.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from corpusmill.storage.errors import ModelError

_REMEDY = (
    "expected finite numbers, as its weights are: if this is not fp32, set CORPUSMILL_PRECISION to "
    "it, else train again with a lower train.optimizer.learning_rate."
)


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The first name whose tensor holds an infinity or NaN; None where none does."""
    return next((name for name, each in tensors.items() if not _is_finite(each)), None)


def finite_figures(figures: Mapping[str, float], precision: str) -> dict[str, float]:
    """The figures of an evaluation, by name.

    Raises:
        ModelError: one of them is not finite.
    """
    for name, value in figures.items():
        if not math.isfinite(value):
            raise ModelError(f"The {name} of held-out text is {value} in {precision}; {_REMEDY}")
    return dict(figures)


def check_logits(logits: Tensor) -> None:
    """Refuses logits from which no token can be chosen.

    Raises:
        ModelError: one of them is not finite.
    """
    if not _is_finite(logits):
        raise ModelError(f"What the model thinks of the next token is no number; {_REMEDY}")


def _is_finite(tensor: Tensor) -> bool:
    # NaN is both least and greatest of its tensor; no mask as large as the tensor is made.
    return not tensor.numel() or bool(torch.stack(tensor.aminmax()).isfinite().all())
