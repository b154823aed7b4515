"""Training in real processes: the same run whatever its shape, and whatever ends it on the way."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from model.config import CausalLMConfig, TrainConfig, TrainingJob, TrainingResult
from model.tokenizer import TokenizerConfig, encode_documents, load_tokenizer, train_tokenizer
from storage.artifacts import Spec, publish, verify
from storage.config import read_json, write_json_value
from storage.errors import InputError
from storage.journal import JournalReader, Record
from storage.layout import RunLayout
from storage.shards import Split, write_shards
from tasks.launch import supervised, training_command, training_outcome, wait

SMALL = CausalLMConfig(
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
    learning_rate=1e-2,
    precision="fp32",
    log_every=1,
)
# Long enough to be met in mid-run.
LONG = SHORT.model_copy(
    update={"max_steps": 400, "checkpoint_every": 20, "decay_fraction": 1.0, "num_processes": 2}
)
PATIENCE = 60.0

# Whatever devices there are: the figures below are of a CPU.
ON_A_CPU = {"CUDA_VISIBLE_DEVICES": ""}
GOLDEN = [0.0]

CALLER = """
import sys, time
from pathlib import Path
from model.config import TrainingJob
from storage.config import read_json
from storage.layout import RunLayout
from tasks.launch import supervised, training_command
layout = RunLayout(Path(sys.argv[1]))
with supervised(training_command(read_json(TrainingJob, layout.job), layout), layout.log):
    time.sleep(600)
"""


@dataclass(frozen=True)
class Mistake:
    """A job that cannot work, and the sentence that says so."""

    sentence: str
    train: TrainConfig
    changes: Mapping[str, Any] = field(default_factory=dict)


MISTAKES = {
    "batch": Mistake(
        r"global_batch_size 8 does not divide into 2 processes x train.micro_batch_size 3; "
        r"set it to 6 or 12",
        SHORT.model_copy(update={"micro_batch_size": 3, "num_processes": 2}),
    ),
    "sequence": Mistake(
        r"sequence_length is 50000, but the train shard holds \d+ tokens; set it below",
        SHORT.model_copy(update={"sequence_length": 50_000}),
    ),
    "processes": Mistake(
        r"1 processes are running, the job expects 2; start it with --num_processes 2",
        SHORT,
        {"num_processes": 2},
    ),
    "rate": Mistake(
        r"train/loss is (nan|inf) at step \d+; .* lower train.learning_rate",
        SHORT.model_copy(update={"learning_rate": 1e9}),
    ),
}


@dataclass(frozen=True)
class Running:
    """A training run under way."""

    layout: RunLayout
    process: psutil.Process

    def ranks(self) -> list[psutil.Process]:
        """Its training processes, without their launcher."""
        return [
            process
            for process in self.process.children(recursive=True)
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
        """Writes the job of a new run."""
        layout = RunLayout(self.root / name)
        layout.path.mkdir()
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


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = tmp_path_factory.mktemp("workshop")
    texts = _texts()
    (root / "tokenizer").mkdir()
    train_tokenizer(texts, TokenizerConfig(vocab_size=300), root / "tokenizer")
    encoder = load_tokenizer(root / "tokenizer")

    def write(directory: Path) -> dict[str, Any]:
        sides: dict[Split, list[str]] = {"train": texts[4:], "validation": texts[:4]}
        counts = {}
        for split, side in sides.items():
            documents = zip(map(str, range(60)), encode_documents(encoder, side), strict=False)
            written = write_shards(directory, split, 300, documents)
            counts[split] = {**written, "bytes": sum(len(text.encode()) for text in side)}
        return counts

    publish(root / "shards", Spec("shards", 1), write)
    return Workshop(root)


@pytest.fixture(scope="module")
def alike(workshop: Workshop) -> dict[str, RunLayout]:
    """One run in several shapes: alone, by two processes, and in the smallest micro-batches."""
    shapes = {
        "alone": SHORT,
        "pair": SHORT.model_copy(update={"num_processes": 2}),
        "accumulated": SHORT.model_copy(update={"micro_batch_size": 1}),
    }
    layouts = {name: workshop.prepare(name, train) for name, train in shapes.items()}
    _finish_all(list(layouts.values()))
    return layouts


@pytest.fixture(scope="module")
def uninterrupted(workshop: Workshop) -> RunLayout:
    """The long run, from its beginning to its end."""
    layout = workshop.prepare("uninterrupted", LONG)
    _finish_all([layout])
    return layout


def _texts() -> list[str]:
    generator = random.Random(0)
    words = "the river house stood by old rain fell for days nights and 河边 老房子 下雨".split()
    return [" ".join(generator.choices(words, k=80)) for _ in range(40)]


def _command(layout: RunLayout) -> list[str]:
    job = read_json(TrainingJob, layout.job)
    launched = job.train.num_processes or 1
    return training_command(job.model_copy(update={"num_processes": launched}), layout)


@contextmanager
def _started(layout: RunLayout) -> Iterator[Running]:
    with supervised(_command(layout), layout.log, ON_A_CPU) as process:
        yield Running(layout, psutil.Process(process.pid))


def _run_all(layouts: list[RunLayout]) -> list["subprocess.Popen[bytes]"]:
    """Runs all of them at once, to their ends."""
    with ExitStack() as stack:
        processes = []
        for layout in layouts:
            run = supervised(_command(layout), layout.log, ON_A_CPU)
            processes.append(stack.enter_context(run))
        for process, layout in zip(processes, layouts, strict=True):
            assert wait(process, PATIENCE), _output(layout)
    return processes


def _finish_all(layouts: list[RunLayout]) -> None:
    for process, layout in zip(_run_all(layouts), layouts, strict=True):
        assert process.returncode == 0, _output(layout)
        assert training_outcome(process, layout).model == layout.model
        verify(layout.model)


def _records(layout: RunLayout, event: str) -> list[Record]:
    return [record for record in JournalReader(layout.journal).read() if record["event"] == event]


def _losses(layout: RunLayout, key: str = "train/loss") -> list[float]:
    metrics = (record["metrics"] for record in _records(layout, "metrics"))
    return [each[key] for each in metrics if key in each]


def _weights(layout: RunLayout) -> bytes:
    return (layout.model / "model.safetensors").read_bytes()


def _newest(layout: RunLayout) -> Path:
    return max(layout.checkpoints.glob("step-*[0-9]"))


def _output(layout: RunLayout) -> str:
    return layout.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _all_gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_a_seed_decides_the_losses(alike: dict[str, RunLayout]) -> None:
    assert _losses(alike["alone"])[::6] == pytest.approx(GOLDEN, abs=2e-3)


@pytest.mark.parametrize("shape", ["pair", "accumulated"])
@pytest.mark.parametrize("key", ["train/loss", "train/gradient_norm", "validation/loss"])
def test_the_shape_of_a_run_changes_nothing_it_learns(
    alike: dict[str, RunLayout], shape: str, key: str
) -> None:
    expected = _losses(alike["alone"], key)
    assert _losses(alike[shape], key) == pytest.approx(expected, abs=1e-4)


def test_a_run_starts_finishes_and_says_how_it_learned(alike: dict[str, RunLayout]) -> None:
    layout = alike["pair"]
    (started,), (finished,) = _records(layout, "started"), _records(layout, "finished")
    assert (started["num_processes"], started["precision"]) == (2, "float32")
    assert (finished["step"], finished["tokens_seen"]) == (20, 20 * 8 * 32)
    assert _losses(layout)[-1] < _losses(layout)[0] - 1


def test_asked_to_stop_a_run_keeps_its_step_and_later_ends_as_if_nothing_had_been(
    workshop: Workshop, uninterrupted: RunLayout
) -> None:
    layout = workshop.prepare("stopped", LONG)
    with _started(layout) as running:
        running.wait_for("metrics", 50)
        running.process.send_signal(signal.SIGTERM)
        assert _all_gone(running.process.children(recursive=True), 20)
    result = read_json(TrainingResult, layout.result)
    assert result.status == "interrupted"
    assert 50 <= result.step < LONG.max_steps
    assert _newest(layout).name == f"step-{result.step:08d}"

    _finish_all([layout])
    assert [record["step"] for record in _records(layout, "resumed")] == [result.step]
    assert _losses(layout) == _losses(uninterrupted)
    assert _weights(layout) == _weights(uninterrupted)


def test_a_run_of_one_process_keeps_its_step_when_its_launcher_is_asked_to_stop(
    workshop: Workshop,
) -> None:
    layout = workshop.prepare("stopped-alone", LONG.model_copy(update={"num_processes": 1}))
    with _started(layout) as running:
        running.wait_for("metrics", 50)
        ranks = running.ranks()
        running.process.send_signal(signal.SIGTERM)
        assert _all_gone(ranks, 20)
    result = read_json(TrainingResult, layout.result)
    assert result.status == "interrupted"
    assert _newest(layout).name == f"step-{result.step:08d}"


def test_a_killed_rank_takes_the_others_along_and_a_new_launch_goes_on(
    workshop: Workshop, uninterrupted: RunLayout
) -> None:
    layout = workshop.prepare("rank-killed", LONG)
    with _started(layout) as running:
        running.wait_for("checkpoint", 60)
        ranks = running.ranks()
        assert len(ranks) == 2
        ranks[1].kill()
        assert _all_gone([*ranks, running.process], 10)
    assert not layout.result.exists()
    newest = int(_newest(layout).name.removeprefix("step-"))
    assert newest >= 60

    _finish_all([layout])
    assert [record["step"] for record in _records(layout, "resumed")] == [newest]
    assert _weights(layout) == _weights(uninterrupted)


def test_a_killed_launcher_leaves_no_rank_and_a_damaged_checkpoint_is_not_used(
    workshop: Workshop, uninterrupted: RunLayout
) -> None:
    layout = workshop.prepare("launcher-killed", LONG)
    with _started(layout) as running:
        running.wait_for("checkpoint", 60)
        ranks = running.ranks()
        running.process.kill()
        assert _all_gone([*ranks, running.process], 10)

    before, newest = sorted(layout.checkpoints.glob("step-*[0-9]"))
    data = bytearray((newest / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "model.safetensors").write_bytes(data)
    _finish_all([layout])
    (refused,) = _records(layout, "checkpoint_refused")
    assert refused["path"] == newest.name
    assert "model.safetensors" in refused["reason"]
    (resumed,) = _records(layout, "resumed")
    assert resumed["step"] == int(before.name.removeprefix("step-"))
    assert (layout.checkpoints / f"{newest.name}.damaged-1").is_dir()
    assert _weights(layout) == _weights(uninterrupted)


def test_a_killed_caller_leaves_nothing(workshop: Workshop) -> None:
    layout = workshop.prepare("caller-killed", LONG)
    command = [sys.executable, "-P", "-c", CALLER, str(layout.path)]
    with subprocess.Popen(command, env={**os.environ, **ON_A_CPU}) as caller:
        running = Running(layout, psutil.Process(caller.pid))
        running.wait_for("metrics", 10)
        tree = running.process.children(recursive=True)
        assert len(tree) == 3
        caller.kill()
        assert _all_gone(tree, 20)


def test_an_error_of_the_main_process_alone_ends_the_run(workshop: Workshop) -> None:
    layout = workshop.prepare("main-fails", LONG)
    with _started(layout) as running:
        running.wait_for("checkpoint", 20)
        # In the way of a checkpoint to come, and damaged.
        obstacle = layout.checkpoints / "step-00000200"
        shutil.copytree(_newest(layout), obstacle)
        (obstacle / "model.safetensors").write_bytes(b"")
        ranks = running.ranks()
        assert _all_gone([*ranks, running.process], 20)
    result = read_json(TrainingResult, layout.result)
    assert result.status == "failed"
    assert result.error is not None
    assert str(obstacle) in result.error


@pytest.fixture(scope="module")
def mistaken(workshop: Workshop) -> dict[str, tuple["subprocess.Popen[bytes]", RunLayout]]:
    """Runs that cannot work, ended."""
    layouts = {
        name: workshop.prepare(f"mistaken-{name}", mistake.train, **mistake.changes)
        for name, mistake in MISTAKES.items()
    }
    processes = _run_all(list(layouts.values()))
    return dict(zip(layouts, zip(processes, layouts.values(), strict=True), strict=True))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_one_sentence_for_a_person(
    mistaken: dict[str, tuple["subprocess.Popen[bytes]", RunLayout]], name: str
) -> None:
    process, layout = mistaken[name]
    assert process.returncode == 1
    result = read_json(TrainingResult, layout.result)
    assert (result.status, result.input_error, result.model) == ("failed", True, None)
    assert result.error is not None
    assert re.search(MISTAKES[name].sentence, result.error)
    assert "\n" not in result.error
    with pytest.raises(InputError, match=MISTAKES[name].sentence):
        training_outcome(process, layout)


def test_accelerate_alone_trains_from_a_folder_with_a_model_of_its_own(
    workshop: Workshop, alike: dict[str, RunLayout], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("raise ImportError('the wrong model')")
    layout = workshop.prepare("by-hand", SHORT)
    accelerate = Path(sys.executable).with_name("accelerate")
    subprocess.run(
        [accelerate, "launch", "--num_processes", "1", "--module", "model.train", layout.job],
        cwd=tmp_path,
        env={**os.environ, **ON_A_CPU, "PYTHONSAFEPATH": "1", "HF_HOME": str(tmp_path)},
        check=True,
        timeout=PATIENCE,
    )
    assert read_json(TrainingResult, layout.result).status == "finished"
    assert _weights(layout) == _weights(alike["alone"])
