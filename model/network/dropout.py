"""Dropout (Srivastava et al. 2014), whose draws on a CPU cost a quarter of torch's own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def dropout(x: Tensor, share: float) -> Tensor:
    """`x` with this share of its numbers set to 0, and the others larger by as much.

    On a CPU the share is taken in steps of 2^-16: four numbers are drawn at a time, each by 16 of
    64 random bits, where torch draws each by bits of its own, which was a third of a step.

    Args:
        share: at least 0, below 1.
    """
    if not share:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, share)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    kept = bits.view(torch.int16)[: x.numel()] < round((1 - share) * (1 << 16)) - (1 << 15)
    return x * kept.view(x.shape).to(x.dtype).div_(1 - share)
