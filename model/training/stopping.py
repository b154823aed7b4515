"""How the processes of a run agree to stop: all must leave the loop after the same step."""

import torch
from accelerate import Accelerator
from torch import Tensor

from corpusmill.model.process import StopRequest


class Vote:
    """Whether any process was asked to stop, told to all of them after every step.

    A GPU is not waited for: what was said after the step before is read, which it has worked out by
    then, while it is at this step already.
    """

    def __init__(self, accelerator: Accelerator, *, delayed: bool) -> None:
        """Args:
        delayed: whether what is read is of the step before.
        """
        self._accelerator = accelerator
        self._delayed = delayed
        self._before: _Count | None = None

    def cast(self, stop: StopRequest) -> bool:
        """Says whether this process was asked, and hears whether any was."""
        count = _Count(self._accelerator, asked=bool(stop))
        before, self._before = self._before, count
        heard = before if self._delayed else count
        return heard is not None and heard.read()


class _Count:
    """The processes that were asked, on its way from the device."""

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
