"""Batches as the network takes them."""

import torch
from torch import Tensor

from model.config import IGNORED
from model.data.batches import Batch


def as_tensors(batch: Batch, on: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs, targets and positions, int64 (B, T), widened only where the network is."""
    ids_BT, targets_BT = (
        torch.from_numpy(tokens).to(on, non_blocking=True).long()
        for tokens in (batch.ids, batch.following)
    )
    length = batch.ids.shape[1]
    if batch.learned.min() < length:
        learned_B1 = torch.from_numpy(batch.learned).to(on).unsqueeze(1)
        targets_BT = targets_BT.masked_fill(torch.arange(length, device=on) >= learned_B1, IGNORED)
    if batch.positions is None:
        return ids_BT, targets_BT, None
    return ids_BT, targets_BT, torch.from_numpy(batch.positions).to(on, non_blocking=True).long()
