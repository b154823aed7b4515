"""Batches as the network takes them."""

import numpy as np
import torch
from torch import Tensor

from model.config import IGNORED
from model.data.batches import Batch


def as_tensors(batch: Batch, on: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs, targets and positions, int64 (B, T), widened only where the network is."""
    tokens_BT1 = _widened(batch.tokens, on)
    # In one layout whatever is masked below, for a compiled network is compiled again for another.
    targets_BT = tokens_BT1[:, 1:].contiguous()
    ids_BT = tokens_BT1[:, :-1].contiguous() if batch.inputs is None else _widened(batch.inputs, on)
    length = targets_BT.shape[1]
    if batch.learned.min() < length:
        learned_B1 = torch.from_numpy(batch.learned).to(on).unsqueeze(1)
        targets_BT = targets_BT.masked_fill(torch.arange(length, device=on) >= learned_B1, IGNORED)
    if batch.positions is None:
        return ids_BT, targets_BT, None
    return ids_BT, targets_BT, _widened(batch.positions, on)


def _widened(numbers: np.ndarray, on: torch.device) -> Tensor:
    read = torch.from_numpy(numbers)
    if on.type == "cuda":
        # A copy from pinned memory waits for nothing: the next batch is read while the GPU works.
        read = read.pin_memory()
    return read.to(on, non_blocking=True).long()


def cut(
    batch: tuple[Tensor, Tensor, Tensor | None], length: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same tokens in rows of `length`, (B · T / length, length): none sees another row.

    Args:
        batch: of `as_tensors`.
        length: that divides T.
    """
    ids_BT, targets_BT, positions_BT = batch
    if length == ids_BT.shape[1]:
        return batch
    positions = None if positions_BT is None else positions_BT.reshape(-1, length)
    return ids_BT.reshape(-1, length), targets_BT.reshape(-1, length), positions
