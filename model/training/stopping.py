"""How the processes of a run agree to stop: all must leave the loop after the same step."""

import torch
from accelerate import Accelerator
from torch import Tensor

from corpusmill.model.process import StopRequest


class StopTrigger:
    """An all-reduce after every step of whether a process was asked to stop, as in Accelerate's
    `check_trigger`, but without waiting for a GPU: there the answer is that of the step before.
    """

    def __init__(self, accelerator: Accelerator, *, delayed: bool) -> None:
        """Args:
        delayed: whether `check` answers for the step before, which a GPU has summed by now.
        """
        self._accelerator = accelerator
        self._delayed = delayed
        self._before: _Count | None = None

    def check(self, stop: StopRequest) -> bool:
        """Whether any process was asked to stop; every process must call it after every step."""
        count = _Count(self._accelerator, asked=bool(stop))
        before, self._before = self._before, count
        heard = before if self._delayed else count
        return heard is not None and heard.read()


class _Count:
    """How many processes were asked, copied from the device without blocking."""

    def __init__(self, accelerator: Accelerator, *, asked: bool) -> None:
        summed: Tensor = accelerator.reduce(
            torch.full((), float(asked), device=accelerator.device), "sum"
        )
        self._copied: torch.cuda.Event | None = None
        self._number = summed
        if summed.is_cuda:
            self._number = torch.empty((), pin_memory=True)
            self._number.copy_(summed, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def read(self) -> bool:
        if self._copied:
            self._copied.synchronize()
        return self._number.item() > 0
