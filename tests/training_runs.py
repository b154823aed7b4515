"""Training runs for tests: real processes on a few made-up texts."""

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.encoding import encode_documents
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import HardwareConfig, WSDSchedule
from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.storage.artifacts import Spec, publish
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.journal import JournalReader, Record
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import verify
from corpusmill.storage.splits import Split
from corpusmill.tasks.launch import supervised, training_command
from tests.forks import ON_A_CPU, Rank, fork
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
    max_steps=20,
    schedule=WSDSchedule(warmup_steps=2),
    hardware=HardwareConfig(micro_batch_size=4, precision="fp32"),
    log_every=1,
)
PATIENCE = 60.0


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
            if not any("accelerate" in word for word in process.cmdline())
            and "corpusmill.model.train" in process.cmdline()
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
            num_processes=train.hardware.num_processes or 1,
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


def _launched(job: TrainingJob) -> int:
    """Ranks that are begun, whatever the job expects."""
    return job.train.hardware.num_processes or 1


def command(layout: RunLayout) -> list[str]:
    """What launches a run as flows do."""
    job = read_json(TrainingJob, layout.job)
    return training_command(job.model_copy(update={"num_processes": _launched(job)}), layout)


@contextmanager
def started(layout: RunLayout) -> Iterator[Running]:
    """A run that was launched as flows do, which ends with the block."""
    with supervised(command(layout), layout.log, ON_A_CPU) as process:
        yield Running(layout, psutil.Process(process.pid))


def end_all(layouts: list[RunLayout], *modules: str, room: int | None = None) -> None:
    """Runs all of them at once to their ends, every rank a process that is forked.

    Args:
        layouts: of the runs.
        modules: what they import beside the usual.
        room: bytes of memory that each rank may take.
    """
    ranks = [each for layout in layouts for each in _ranks(layout, room)]
    leader = fork(ranks, *modules)
    assert ended([leader], 2 * PATIENCE), "".join(map(_output, layouts))


def finish_all(layouts: list[RunLayout], *modules: str) -> None:
    """Runs all of them at once to their good ends, every rank a process that is forked."""
    end_all(layouts, *modules)
    for layout in layouts:
        assert read_json(TrainingResult, layout.result).status == "finished", _output(layout)
        verify(layout.model)


def stop_after(layouts: list[RunLayout], step: int) -> None:
    """Runs them, their ranks forked, and stops each after its first checkpoint from `step` on."""
    runs = [Running(layout, fork(_ranks(layout))) for layout in layouts]
    for run in runs:
        run.wait_for("checkpoint", step)
        run.process.terminate()
    for run in runs:
        assert ended([run.process], PATIENCE), _output(run.layout)
        result = read_json(TrainingResult, run.layout.result)
        assert result.status == "interrupted", _output(run.layout)


def ended(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether all of them have ended within so long."""
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def _ranks(layout: RunLayout, room: int | None = None) -> list[Rank]:
    """The processes of a run, with what the launcher would tell them."""
    size, log = _launched(read_json(TrainingJob, layout.job)), str(layout.log)
    if size == 1:
        return [Rank(str(layout.job), log, room=room)]
    meeting = layout.path / f"meeting-{uuid.uuid4().hex}"
    told = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    ranks = ({**told, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size))
    return [Rank(str(layout.job), log, each, str(meeting), room) for each in ranks]


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
