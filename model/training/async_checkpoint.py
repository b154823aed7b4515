"""Asynchronous checkpoints: the loop waits only while tensors are copied, a thread writes them."""

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import torch
from torch import Tensor

from corpusmill.model.training.checkpoint import Progress, Tensors, write_checkpoint
from corpusmill.model.training.parallel import whole
from corpusmill.storage.artifacts import Spec


@dataclass(frozen=True)
class Written:
    """A checkpoint that is complete and verified.

    Attributes:
        seconds: from the copy to the end.
        blocked_seconds: how long the loop waited.
        gigabytes: its tensors.
    """

    path: Path
    step: int
    seconds: float
    blocked_seconds: float
    gigabytes: float


class AsyncCheckpointer:
    """Writes one checkpoint at a time, from buffers that are kept for the next."""

    def __init__(self, folder: Path, model: Spec, *, writes: bool) -> None:
        """Args:
        model: what the run makes.
        writes: False in processes that only give their shards.
        """
        self._writes = writes
        self._folder = folder
        self._model = model
        self._buffers: dict[str, dict[str, Tensor]] = {}
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._done: list[Written] = []

    def save(self, progress: Progress, tensors: Tensors) -> None:
        """Copies, and returns; waits first for the checkpoint before.

        Raises:
            what writing the one before raised.
        """
        begun = time.perf_counter()
        self.wait()
        copied = self._copy(tensors)
        if not self._writes:
            return
        blocked = time.perf_counter() - begun
        thread = Thread(target=self._write, args=(progress, copied, begun, blocked))
        thread.start()  # one that the system refuses is not waited for
        self._thread = thread

    def finished(self) -> list[Written]:
        """What has been completed since the last call."""
        done, self._done = self._done, []
        return done

    def wait(self) -> None:
        """Returns when nothing is being written.

        Raises:
            what writing raised.
        """
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            raise self._error

    def _copy(self, tensors: Tensors) -> torch.cuda.Event | None:
        on_gpu = False
        for file, named in tensors.items():
            buffers = self._buffers.setdefault(file, {})
            for name, tensor in named.items():
                full = whole(tensor)
                if not self._writes:
                    continue
                if name not in buffers:
                    buffers[name] = torch.empty(
                        full.shape, dtype=full.dtype, pin_memory=full.is_cuda
                    )
                # In the order of the stream, so before the next step changes the tensor.
                buffers[name].copy_(full, non_blocking=True)
                on_gpu = on_gpu or full.is_cuda
        if not on_gpu:
            return None
        copied: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        return copied

    def _write(
        self, progress: Progress, copied: torch.cuda.Event | None, begun: float, blocked: float
    ) -> None:
        try:
            if copied:
                copied.synchronize()
            path = write_checkpoint(self._folder, self._model, progress, self._buffers)
        except BaseException as error:
            self._error = error
            return
        size = sum(t.nbytes for named in self._buffers.values() for t in named.values())
        seconds = time.perf_counter() - begun
        self._done.append(Written(path, progress.step, seconds, blocked, size / 1e9))
