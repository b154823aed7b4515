"""The stream of samples in real processes: the same for one, two and three, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpusmill.flows.overrides import override
from corpusmill.model.data.batches import Batch
from corpusmill.model.data.config import MixingPhase
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.model.training.samples import Reading
from corpusmill.storage.config import write_json_value
from corpusmill.storage.manifest import write_json
from corpusmill.storage.shards.parts import assemble, write_part
from corpusmill.tasks.launch import supervised, wait

STEPS = 40
PATIENCE = 60.0
PLAIN = TrainConfig(
    max_steps=STEPS,
    sequence_length=16,
    global_batch_size=6,
    hardware=HardwareConfig(micro_batch_size=1),
)
MIXED = override(
    PLAIN,
    {
        "packing.name": "best_fit",
        "mixing": (
            MixingPhase(until=0.5, weights={"a": 3, "b": 1}),
            MixingPhase(weights={"b": 1, "c": 2}),
        ),
    },
)

# What the training loop reads, written down: a line a step, all that is fed to the network. Runs
# are given as name, processes, first step and pause; their processes are forked, for importing
# torch takes each of them longer than all it has to do.
READER = """
import json, os, sys, time
from pathlib import Path
import torch
import torch.distributed as dist
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.training.samples import Reading
from corpusmill.storage.config import read_json
room = Path(sys.argv[1])
counts = json.loads((room / "counts.json").read_text())
configs = [read_json(TrainConfig, room / f"{name}.json") for name in ("plain", "mixed")]

def read(run, rank, size, first, pause):
    dist.init_process_group("gloo", f"file://{room / run / 'meeting'}", rank=rank, world_size=size)
    feeds = [open_feed(Reading(room), config, counts) for config in configs]
    with (room / run / f"{rank}.jsonl").open("w", buffering=1) as file:
        for step in range(first, configs[0].max_steps):
            read = []
            for feed in feeds:
                mine = feed.step(step, size, rank)
                pieces = [feed.samples.read(*piece) for piece in zip(mine.numbers, mine.draws)]
                fed = [as_tensors(piece, torch.device("cpu")) for piece in pieces]
                total = torch.tensor(float(sum((each["targets_BT"] >= 0).sum() for each in fed)))
                dist.all_reduce(total)
                assert total == mine.num_targets[0] == mine.tokens, (total, mine)
                read.append([[each.tolist() for each in batch.values()] for batch in fed])
            print(json.dumps([step, read]), file=file)
            time.sleep(pause)

for run, size, first, pause in json.loads(sys.argv[2]):
    (room / run).mkdir()
    for rank in range(size):
        if not os.fork():
            (room / run / f"{rank}.pid").write_text(str(os.getpid()))
            read(run, rank, size, first, pause)
            sys.stdout.flush()
            os._exit(0)
while True:
    try:
        pid, status = os.wait()
    except ChildProcessError:
        break
    print("ended", pid, os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of three sources, the configurations, and the program that reads."""
    root = tmp_path_factory.mktemp("processes")
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 150)
    part = write_part(
        root,
        0,
        generator.integers(0, 1000, lengths.sum()).astype(np.uint16),
        ends=np.cumsum(lengths),
        document_ids=[str(row) for row in range(150)],
        sources=["abc"[row // 50] for row in range(150)],
        languages=["en"] * 150,
        sizes=lengths,
    )
    write_json(root / "counts.json", assemble(root, "train", 1 << 16, [part]))
    write_json_value(root / "plain.json", PLAIN)
    write_json_value(root / "mixed.json", MIXED)
    (root / "reader.py").write_text(READER)
    return root


@contextmanager
def _reading(
    room: Path, name: str, *runs: tuple[str, int, int, float]
) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-P", str(room / "reader.py"), str(room), json.dumps(runs)]
    with supervised(command, room / f"{name}.txt", {"CUDA_VISIBLE_DEVICES": ""}) as process:
        yield process


def _stream(room: Path, run: str) -> dict[int, list[Any]]:
    """What the processes of a run read in each step that all of them have written, in order."""
    ranks = []
    for file in sorted((room / run).glob("*.jsonl")):
        lines = file.read_text().splitlines(keepends=True)
        ranks.append(dict(json.loads(line) for line in lines if line.endswith("\n")))
    complete = sorted(set.intersection(*(set(rank) for rank in ranks))) if ranks else []
    return {
        step: [[batch for rank in ranks for batch in rank[step][feed]] for feed in (0, 1)]
        for step in complete
    }


def _kill_a_rank_at(room: Path, run: str, step: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while step not in _stream(room, run):
        assert time.monotonic() < deadline, run
        time.sleep(0.05)
    os.kill(int((room / run / "1.pid").read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def streams(room: Path) -> dict[str, dict[int, list[Any]]]:
    """What runs of one, two and three processes read, one of which is killed and goes on."""
    whole = [(str(size), size, 0, 0.0) for size in (1, 2, 3)]
    with _reading(room, "first", *whole, ("killed", 2, 0, 0.05)) as process:
        _kill_a_rank_at(room, "killed", 10)
        assert wait(process, PATIENCE)
    reached = max(_stream(room, "killed")) + 1
    assert reached < STEPS
    with _reading(room, "second", ("resumed", 3, reached, 0.0)) as process:
        assert wait(process, PATIENCE)
    return {name: _stream(room, name) for name in ("1", "2", "3", "killed", "resumed")}


def test_one_process_reads_what_the_feed_says(
    room: Path, streams: dict[str, dict[int, list[Any]]]
) -> None:
    counts = json.loads((room / "counts.json").read_text())
    for place, config in enumerate((PLAIN, MIXED)):
        feed = open_feed(Reading(room), config, counts)
        for step, read in streams["1"].items():
            batch = feed.samples.read(feed.step(step).numbers.ravel(), np.empty(0))
            assert isinstance(batch, Batch)
            assert [ids for (ids,), *_ in read[place]] == batch.ids.tolist()
            assert [targets for _, (targets,), *_ in read[place]] == batch.targets.tolist()


@pytest.mark.parametrize("processes", ["2", "3"])
def test_any_number_of_processes_reads_the_same_stream(
    streams: dict[str, dict[int, list[Any]]], processes: str
) -> None:
    assert sorted(streams["1"]) == list(range(STEPS))
    assert streams[processes] == streams["1"]


def test_a_killed_run_goes_on_with_the_same_stream_in_more_processes(
    streams: dict[str, dict[int, list[Any]]],
) -> None:
    assert min(streams["resumed"]) == max(streams["killed"]) + 1
    assert streams["killed"] | streams["resumed"] == streams["1"]
