"""How the processes of a run agree to stop: all must leave the loop after the same step."""

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from corpusmill.model.process import StopRequest


@dataclass(frozen=True)
class Agreed:
    """What all processes know alike after a step.

    Attributes:
        stopping: whether any of them was asked to stop.
        seconds: that the main process has trained for.
    """

    stopping: bool
    seconds: float


class StopTrigger:
    """An all-reduce after every step of whether a process was asked to stop, as in Accelerate's
    `check_trigger`, but without waiting for a GPU: there the answer is that of the step before.
    The main process's clock goes along, for those of the others differ from it.
    """

    def __init__(self, accelerator: Accelerator, *, delayed: bool) -> None:
        """Args:
        delayed: whether `check` answers for the step before, which a GPU has summed by now.
        """
        self._accelerator = accelerator
        self._delayed = delayed
        self._before: _Count | None = None

    def check(self, stop: StopRequest, seconds: float) -> Agreed | None:
        """What is agreed, or None where nothing is yet; every process must call it after every
        step.

        Args:
            seconds: that this process has trained for.
        """
        count = _Count(self._accelerator, asked=bool(stop), seconds=seconds)
        before, self._before = self._before, count
        heard = before if self._delayed else count
        return heard.read() if heard else None


class _Count:
    """How many processes were asked, and the main one's clock, copied from the device without
    blocking."""

    def __init__(self, accelerator: Accelerator, *, asked: bool, seconds: float) -> None:
        device = accelerator.device
        mine = [float(asked), seconds if accelerator.is_main_process else 0.0]
        # From memory that is not pinned a copy would wait for all that the GPU has been given.
        numbers = torch.tensor(mine, dtype=torch.float64, pin_memory=device.type == "cuda")
        summed: Tensor = accelerator.reduce(numbers.to(device, non_blocking=True), "sum")
        self._copied: torch.cuda.Event | None = None
        self._numbers = summed
        if summed.is_cuda:
            self._numbers = torch.empty(2, dtype=torch.float64, pin_memory=True)
            self._numbers.copy_(summed, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def read(self) -> Agreed:
        if self._copied:
            self._copied.synchronize()
        asked, seconds = self._numbers.tolist()
        return Agreed(asked > 0, seconds)
