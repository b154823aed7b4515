"""Asynchronous checkpoints."""

import resource
import threading
from pathlib import Path

import psutil
import pytest

from corpusmill.model.training.async_checkpoint import AsyncCheckpointer
from corpusmill.model.training.checkpoint import Progress
from corpusmill.storage.artifacts import Spec


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit on address space here")
def test_a_thread_that_the_system_refuses_is_what_is_said(tmp_path: Path) -> None:
    checkpointer = AsyncCheckpointer(tmp_path, Spec("model", 1), writes=True)
    limits, stack = resource.getrlimit(resource.RLIMIT_AS), threading.stack_size(1 << 30)
    room = psutil.Process().memory_info().vms + (1 << 28)
    resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            checkpointer.save(Progress(), {})
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        threading.stack_size(stack)
    checkpointer.wait()
    assert not checkpointer.finished()
