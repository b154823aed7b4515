"""The processes of a run: where they meet, and what they tell each other.

They tell JSON, never pickles: whoever reaches the port of one of them has no code run by it.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.storage.settings import load_settings, use_network_interface

_PATIENCE = timedelta(minutes=30)


def meet(meeting: Path, processes: int) -> None:
    """Forms the group of a run's processes on one machine, which nothing reaches from elsewhere.

    Args:
        meeting: a file of this launch alone, where torch would open a port to every network.
        processes: how many they are; each of them must come.
    """
    use_network_interface(_loopback())
    store = dist.FileStore(str(meeting), processes)  # type: ignore[attr-defined]
    store.set_timeout(_PATIENCE)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    rank = load_settings().rank
    dist.init_process_group(backend, store=store, rank=rank, world_size=processes)


def from_main(value: Any) -> Any:
    """Broadcasts a value (JSON) from the main process; a collective: every process calls it."""
    return of_all(value)[0]


def of_all(value: Any) -> list[Any]:
    """All-gathers a value (JSON), in the order of ranks; a collective: every process calls it."""
    told = json.dumps(value).encode()
    if not dist.is_initialized():
        return [json.loads(told)]
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    sizes = _gathered(torch.tensor([len(told)], device=device))
    line = torch.zeros(int(max(sizes)), dtype=torch.uint8, device=device)
    line[: len(told)] = torch.frombuffer(bytearray(told), dtype=torch.uint8)
    lines = (each.cpu().numpy().tobytes() for each in _gathered(line))
    return [json.loads(each[: int(size)]) for each, size in zip(lines, sizes, strict=True)]


def _gathered(mine: Tensor) -> list[Tensor]:
    every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    return every


def _loopback() -> str:
    """The name of this machine's loopback interface: lo, or lo0 on macOS."""
    return next(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(each.address == "127.0.0.1" for each in addresses)
    )
