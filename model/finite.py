"""Whether numbers may be published: those that are not finite may not, anywhere."""

from collections.abc import Mapping

import torch
from torch import Tensor


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The first name whose tensor holds an infinity or NaN; None where none does."""
    return next((name for name, each in tensors.items() if not _is_finite(each)), None)


def _is_finite(tensor: Tensor) -> bool:
    # NaN is both least and greatest of its tensor; no mask as large as the tensor is made.
    return not tensor.numel() or bool(torch.stack(tensor.aminmax()).isfinite().all())
