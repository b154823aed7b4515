"""Where the time of a run goes, against what the hardware has been measured to do."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_ROUNDS = 5
# A product that a CPU does in milliseconds, and one that fills a GPU.
_SIZES = {"cpu": 1024, "cuda": 8192}


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the best of a few square matrix products, by this process's threads or GPU.

    Processes that share a CPU share what this finds, where they call it at the same time.
    """
    size = _SIZES[device.type]
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = a @ b
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = _now(device)
        torch.mm(a, b, out=out)
        best = min(best, _now(device) - begun)
    return 2 * size**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Gauges:
    """Seconds by what they were spent on, and memory, since the last reading.

    On a GPU work is only queued while the clock runs, so there the parts are timed by events in
    its stream, which are read when metrics are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: dict[str, float] = {}
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Counts the block as time spent on `part`."""
        if self._device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            yield
            end.record()
            self._events.append((part, begin, end))
            return
        begun = time.perf_counter()
        yield
        self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - begun

    def read(self) -> dict[str, float]:
        """Seconds by part since the last reading; waits for a GPU."""
        if self._events:
            torch.cuda.synchronize(self._device)
        for part, begin, end in self._events:
            spent = begin.elapsed_time(end) / 1000
            self._seconds[part] = self._seconds.get(part, 0.0) + spent
        self._events.clear()
        seconds, self._seconds = self._seconds, {}
        return seconds

    def peak_memory(self) -> Tensor:
        """Gigabytes, the most that was ever held: on the GPU, or resident of this process."""
        if self._device.type == "cuda":
            held = float(torch.cuda.max_memory_allocated(self._device))
        else:
            unit = 1 if sys.platform == "darwin" else 1024
            held = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
        return torch.tensor(held / 1e9, device=self._device)
