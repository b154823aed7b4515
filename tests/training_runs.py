"""Training runs for tests: real processes on a few made-up texts."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from model.config import TrainingJob, TrainingResult
from model.network.config import DecoderConfig
from model.tokenizer.config import TokenizerConfig
from model.tokenizer.encoding import encode_documents
from model.tokenizer.folder import load_tokenizer
from model.tokenizer.training import train_tokenizer
from model.training.config import TrainConfig
from storage.artifacts import Spec, publish
from storage.config import read_json, write_json_value
from storage.journal import JournalReader, Record
from storage.layout import RunLayout
from storage.manifest import verify
from storage.shards.schema import Split
from tasks.launch import supervised, training_command, training_outcome, wait
from tests.servers import free_port
from tests.shards import write_shards

SMALL = DecoderConfig(
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=48,
)
SHORT = TrainConfig(
    sequence_length=32,
    global_batch_size=8,
    micro_batch_size=4,
    max_steps=20,
    warmup_steps=2,
    precision="fp32",
    log_every=1,
)
PATIENCE = 60.0

# Whatever devices there are, the figures below are of a CPU; and runs share it side by side.
ON_A_CPU = {"CUDA_VISIBLE_DEVICES": "", "LOCAL_WORLD_SIZE": str(os.cpu_count())}


@dataclass(frozen=True)
class Running:
    """A training run under way."""

    layout: RunLayout
    process: psutil.Process

    def ranks(self) -> list[psutil.Process]:
        """Its training processes, without their launcher."""
        return [
            process
            for process in [self.process, *self.process.children(recursive=True)]
            if "accelerate.commands.launch" not in process.cmdline()
            and "model.train" in process.cmdline()
        ]

    def wait_for(self, event: str, step: int) -> None:
        """Waits for the first event of this name at or after `step`."""
        reader, deadline = JournalReader(self.layout.journal), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for record in reader.read():
                if record["event"] == event and record["step"] >= step:
                    return
            assert self.process.is_running(), _output(self.layout)
            time.sleep(0.01)
        raise AssertionError(f"no {event} of step {step}: {_output(self.layout)}")


@dataclass(frozen=True)
class Workshop:
    """A tokenizer and shards, and room for runs on them."""

    root: Path

    def prepare(self, name: str, train: TrainConfig, **changes: Any) -> RunLayout:
        """Writes the job of a run, new or to go on."""
        layout = RunLayout(self.root / name)
        layout.path.mkdir(exist_ok=True)
        job = TrainingJob(
            digest=name,
            directory=layout.path,
            shards=self.root / "shards",
            tokenizer=self.root / "tokenizer",
            num_processes=train.num_processes or 1,
            model=SMALL,
            train=train,
        )
        write_json_value(layout.job, job.model_copy(update=changes))
        return layout


VOCABULARY = TokenizerConfig(vocab_size=300)


def open_workshop(
    root: Path,
    tokenizer: TokenizerConfig = VOCABULARY,
    also: Sequence[str] = (),
    *,
    pairs: bool = False,
) -> Workshop:
    """A tokenizer, learned also from other texts, and shards of a few made-up ones, in `root`.

    As pairs they are short, and each two follow each other with one id.
    """
    texts = _texts(8 if pairs else 120)
    (root / "tokenizer").mkdir()
    train_tokenizer([*texts, *also], tokenizer, root / "tokenizer")
    encoder = load_tokenizer(root / "tokenizer")

    def write(directory: Path) -> dict[str, Any]:
        sides: dict[Split, list[str]] = {"train": texts[4:], "validation": texts[:4]}
        counts: dict[str, Any] = {}
        for split, side in sides.items():
            names = (str(number // 2 if pairs else number) for number in range(60))
            documents = zip(names, encode_documents(encoder, side), strict=False)
            size = encoder.get_vocab_size()
            written = write_shards(directory, split, size, documents)
            size_in_bytes = sum(len(text.encode()) for text in side)
            counts[split] = {**written, "bytes": size_in_bytes, "lost_bytes": 0}
        return counts

    publish(root / "shards", Spec("shards", 1), write)
    return Workshop(root)


def _texts(length: int) -> list[str]:
    generator = random.Random(0)
    words = [
        "the",
        "river",
        "house",
        "stood",
        "by",
        "old",
        "rain",
        "fell",
        "for",
        "days",
        "nights",
        "and",
        "河边",
        "老房子",
        "下雨",
    ]
    return ["".join(generator.choices(words, k=length)) for _ in range(40)]


def _command(layout: RunLayout) -> list[str]:
    job = read_json(TrainingJob, layout.job)
    launched = job.train.num_processes or 1
    return training_command(job.model_copy(update={"num_processes": launched}), layout)


@contextmanager
def started(layout: RunLayout) -> Iterator[Running]:
    """A run under way, which ends with the block."""
    with supervised(_command(layout), layout.log, ON_A_CPU) as process:
        yield Running(layout, psutil.Process(process.pid))


def run_all(layouts: list[RunLayout]) -> list["subprocess.Popen[bytes]"]:
    """Launches all of them at once as flows do, and waits for their ends."""
    with ExitStack() as stack:
        processes = []
        for layout in layouts:
            run = supervised(_command(layout), layout.log, ON_A_CPU)
            processes.append(stack.enter_context(run))
        for process, layout in zip(processes, layouts, strict=True):
            assert wait(process, PATIENCE), _output(layout)
    return processes


def launch_all(layouts: list[RunLayout]) -> None:
    """Launches all of them at once as flows do, and sees them to their good ends."""
    for process, layout in zip(run_all(layouts), layouts, strict=True):
        assert process.returncode == 0, _output(layout)
        assert training_outcome(process, layout).model == layout.model
        verify(layout.model)


# The environment that the launcher would give a rank, and its output where that would be.
_FORKS = """
import json, os, signal, sys
import model.training.loop, torch._dynamo
from model.train import main
ranks = []
signal.signal(signal.SIGTERM, lambda *_: [os.kill(rank, signal.SIGTERM) for rank in ranks])
for job, log, environment in json.loads(sys.argv[1]):
    if rank := os.fork():
        ranks.append(rank)
        continue
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environment)
    sys.argv[1:] = [job]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = 1
    try:
        code = main()
    finally:
        sys.stderr.flush()
        os._exit(code)
for rank in ranks:
    os.waitpid(rank, 0)
"""


def finish_all(layouts: list[RunLayout]) -> None:
    """Runs all of them at once to their good ends, every rank a process that is forked.

    What each rank of a launched run takes three seconds of a core to import is imported once.
    """
    with _forked(layouts) as process:
        assert wait(process, 2 * PATIENCE), "".join(map(_output, layouts))
    for layout in layouts:
        assert read_json(TrainingResult, layout.result).status == "finished", _output(layout)
        verify(layout.model)


def stop_after(layout: RunLayout, step: int) -> None:
    """Runs it, its ranks forked, and asks it to stop after its first checkpoint from `step` on."""
    with _forked([layout]) as process:
        Running(layout, psutil.Process(process.pid)).wait_for("checkpoint", step)
        process.terminate()
        assert wait(process, PATIENCE), _output(layout)
    assert read_json(TrainingResult, layout.result).status == "interrupted", _output(layout)


@contextmanager
def _forked(layouts: list[RunLayout]) -> Iterator["subprocess.Popen[bytes]"]:
    ranks = [each for layout in layouts for each in _ranks(layout)]
    command = [sys.executable, "-P", "-c", _FORKS, json.dumps(ranks)]
    with supervised(command, layouts[0].log, ON_A_CPU) as process:
        yield process


def _ranks(layout: RunLayout) -> list[tuple[str, str, dict[str, str]]]:
    """Job, output and environment of each rank of a run."""
    size = read_json(TrainingJob, layout.job).num_processes
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    alone: dict[str, str] = {}
    return [
        (
            str(layout.job),
            str(layout.log),
            {**meeting, "WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)}
            if size > 1
            else alone,
        )
        for rank in range(size)
    ]


def records(layout: RunLayout, event: str) -> list[Record]:
    """What the journal says of one kind of event."""
    return [record for record in JournalReader(layout.journal).read() if record["event"] == event]


def losses(layout: RunLayout, key: str = "train/loss") -> list[float]:
    """A metric as the journal has it, in the order of the steps."""
    metrics = (record["metrics"] for record in records(layout, "metrics"))
    return [each[key] for each in metrics if key in each]


def weights(layout: RunLayout) -> bytes:
    """The file of the exported model."""
    return (layout.model / "model.safetensors").read_bytes()


def _output(layout: RunLayout) -> str:
    return layout.log.read_text(encoding="utf-8", errors="replace")[-2000:]
