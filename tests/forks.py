"""Training processes that import nothing: forked from one that has imported all they need."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import psutil

# Whatever devices there are, figures of tests are of a CPU; and runs share it side by side.
ON_A_CPU = {"CUDA_VISIBLE_DEVICES": "", "LOCAL_WORLD_SIZE": str(os.cpu_count())}

# Forks a leader for every line it reads, and says its number; a leader forks its ranks, hands on
# what it is asked to do, and ends when they have.
_SERVER = """
import importlib, json, os, resource, signal, sys
import corpusmill.model.training.loop, torch._dynamo, torch.distributed.fsdp, psutil
from corpusmill.model.train import main

def lead(ranks):
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    begun = []
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(rank, signal.SIGTERM) for rank in begun])
    for rank in ranks:
        if pid := os.fork():
            begun.append(pid)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            follow(**rank)
    for rank in begun:
        os.waitpid(rank, 0)
    os._exit(0)

def follow(job, log, environment, meeting, room):
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    sys.argv[1:] = [job, meeting] if meeting else [job]
    if room is not None:
        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
    code = 1
    try:
        code = main()
    finally:
        sys.stderr.flush()
        os._exit(code)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    for module in request["modules"]:
        importlib.import_module(module)
    if pid := os.fork():
        print(pid, flush=True)
    else:
        lead(request["ranks"])
"""


@dataclass(frozen=True)
class Rank:
    """A training process to be forked.

    Attributes:
        job: its job.json.
        log: takes its output.
        environment: what the launcher would give it.
        meeting: where it meets the others of its run, "" where there are none.
        room: bytes of address space beyond what the imports take, None for as many as there are.
    """

    job: str
    log: str
    environment: dict[str, str] = field(default_factory=dict)
    meeting: str = ""
    room: int | None = None


def fork(ranks: list[Rank], *modules: str) -> psutil.Process:
    """Begins these processes; the one returned ends after them, and hands on SIGTERM to them.

    Args:
        ranks: of one run or of several, all at once.
        modules: what they will import beside the usual.
    """
    server = _server()
    assert server.stdin and server.stdout
    request = {"ranks": [asdict(rank) for rank in ranks], "modules": modules}
    print(json.dumps(request), file=server.stdin, flush=True)
    return psutil.Process(int(server.stdout.readline()))


@cache
def _server() -> "subprocess.Popen[str]":
    """The process from which this one has its runs forked; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ON_A_CPU},
        cwd=Path(__file__).parents[1],
        text=True,
    )
