"""Batches as the network takes them: its arguments by name."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from corpusmill.model.data.batches import AnyBatch, Batch
from corpusmill.model.network.config import IGNORED


def as_tensors(batch: AnyBatch, on: torch.device) -> dict[str, Tensor]:
    """What `forward` of the network takes: integers as int64, widened only where the network is."""
    if isinstance(batch, Batch):
        return _causal(batch, on)
    fields = ((field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch))
    return {name: _widened(value, on) for name, value in fields if value is not None}


def _causal(batch: Batch, on: torch.device) -> dict[str, Tensor]:
    tokens_BT1 = _widened(batch.tokens, on)
    # In one layout whatever is masked below, for a compiled network is compiled again for another.
    targets_BT = tokens_BT1[:, 1:].contiguous()
    ids_BT = tokens_BT1[:, :-1].contiguous() if batch.inputs is None else _widened(batch.inputs, on)
    length = targets_BT.shape[1]
    if batch.num_targets.min() < length:
        learned_B1 = torch.from_numpy(batch.num_targets).to(on).unsqueeze(1)
        targets_BT = targets_BT.masked_fill(torch.arange(length, device=on) >= learned_B1, IGNORED)
    found = {"ids_BT": ids_BT, "targets_BT": targets_BT}
    if batch.positions is not None:
        found["positions_BT"] = _widened(batch.positions, on)
    return found


def _widened(numbers: np.ndarray, on: torch.device) -> Tensor:
    read = torch.from_numpy(numbers)
    if on.type == "cuda":
        # A copy from pinned memory waits for nothing: the next batch is read while the GPU works.
        read = read.pin_memory()
    there = read.to(on, non_blocking=True)
    return there if there.is_floating_point() else there.long()


def cut(batch: Mapping[str, Tensor], length: int) -> dict[str, Tensor]:
    """The same tokens in rows of `length`, (B · T / length, length): none sees another row.

    Args:
        batch: of a causal network, by `as_tensors`.
        length: that divides T.
    """
    return {name: tensor.reshape(-1, length) for name, tensor in batch.items()}
