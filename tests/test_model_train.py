"""Training in real processes: the same run whatever its shape, and whatever ends it on the way."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpusmill.flows.overrides import override
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import InputError
from corpusmill.storage.layout import RunLayout
from corpusmill.tasks.launch import supervised, training_outcome, wait
from tests.forks import ON_A_CPU
from tests.training_runs import (
    PATIENCE,
    SHORT,
    Running,
    Workshop,
    command,
    end_all,
    ended,
    finish_all,
    losses,
    records,
    started,
    weights,
)

# Long enough to be met in mid-run.
LONG = override(SHORT, {"max_steps": 160, "checkpoint_every": 10, "hardware.num_processes": 2})
ALONE = override(LONG, {"hardware.num_processes": 1})
ENDLESS = override(LONG, {"max_steps": 1_000_000, "hardware.compile": "never"})
# In fp32 by one thread, uncompiled; by AVX2 or less they differ by 3e-6 at most.
GOLDEN = [5.703782, 4.172235, 2.575338, 2.245277]

CALLER = """
import sys, time
from pathlib import Path
from corpusmill.model.training.job import TrainingJob
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import RunLayout
from corpusmill.tasks.launch import supervised, training_command
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


@dataclass(frozen=True)
class Wound:
    """What a blow in mid-run left behind.

    Attributes:
        gone: whether every process of the run ended within 10 s.
        result: result.json, or None if there is none.
        checkpoints: names, the newest last.
    """

    gone: bool
    result: TrainingResult | None
    checkpoints: tuple[str, ...]


MISTAKES = {
    "batch": Mistake(
        r"global_batch_size 8 does not divide into 2 processes x "
        r"train.hardware.micro_batch_size 3; set it to 6 or 12",
        override(SHORT, {"hardware.micro_batch_size": 3, "hardware.num_processes": 2}),
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
        r"is not finite at step \d+; .* lower train.optimizer.learning_rate",
        override(SHORT, {"optimizer.learning_rate": 1e38, "checkpoint_every": 1}),
    ),
}


@pytest.fixture(scope="module")
def unhurt(workshop: Workshop) -> dict[str, RunLayout]:
    """A run by one process, by two and in the smallest micro-batches; and long ones, unhurt."""
    configs = {
        "alone": SHORT,
        "pair": override(SHORT, {"hardware.num_processes": 2}),
        "accumulated": override(SHORT, {"hardware.micro_batch_size": 1}),
        "long": LONG,
        "long alone": ALONE,
    }
    layouts = {name: workshop.prepare(name, train) for name, train in configs.items()}
    finish_all(list(layouts.values()))
    return layouts


@pytest.fixture(scope="module")
def battered(workshop: Workshop) -> RunLayout:
    """The long run, hit in mid-run in one way after another and launched again each time."""
    return workshop.prepare("battered", LONG)


@pytest.fixture(scope="module")
def wounds(battered: RunLayout) -> dict[str, Wound]:
    wounds = {}
    for number, (name, blow) in enumerate(BLOWS.items()):
        with started(battered) as running:
            wounds[name] = _strike(running, 30 * (number + 1), blow)
    _flip_a_byte(battered.checkpoints / wounds["launcher killed"].checkpoints[-1])
    finish_all([battered])
    return wounds


def _checkpoints(layout: RunLayout) -> list[Path]:
    return sorted(path.parent for path in layout.checkpoints.glob("step-*/manifest.json"))


def _step(checkpoint: str) -> int:
    return int(checkpoint.removeprefix("step-"))


def _terminate_the_launcher(running: Running) -> None:
    running.process.terminate()


def _kill_a_rank(running: Running) -> None:
    running.ranks()[1].kill()


def _kill_the_launcher(running: Running) -> None:
    running.process.kill()


BLOWS: dict[str, Callable[[Running], None]] = {
    "asked to stop": _terminate_the_launcher,
    "rank killed": _kill_a_rank,
    "launcher killed": _kill_the_launcher,
}


def _strike(running: Running, step: int, blow: Callable[[Running], None]) -> Wound:
    running.wait_for("checkpoint", step)
    tree = {*running.ranks(), running.process}
    assert len(tree) == 1 + read_json(TrainingJob, running.layout.job).num_processes
    blow(running)
    gone, layout = ended([*tree], 10), running.layout
    result = read_json(TrainingResult, layout.result) if layout.result.exists() else None
    return Wound(gone, result, tuple(path.name for path in _checkpoints(layout)))


def _flip_a_byte(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_seed_decides_the_losses(unhurt: dict[str, RunLayout]) -> None:
    assert losses(unhurt["alone"])[::6] == pytest.approx(GOLDEN, abs=1e-5)


@pytest.mark.parametrize("shape", ["pair", "accumulated"])
@pytest.mark.parametrize("key", ["train/loss", "train/gradient_norm", "validation/loss"])
def test_the_shape_of_a_run_changes_nothing_it_learns(
    unhurt: dict[str, RunLayout], shape: str, key: str
) -> None:
    expected = losses(unhurt["alone"], key)
    assert losses(unhurt[shape], key) == pytest.approx(expected, abs=1e-4)


def test_an_eager_run_by_one_process_imports_no_compiler(workshop: Workshop) -> None:
    layout = workshop.prepare("eager", override(SHORT, {"hardware.compile": "never"}))
    code = (
        "import sys; from corpusmill.model.train import main; assert main() == 0; "
        "print(sorted({'torch._dynamo', 'torch._inductor', 'sympy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(layout.job)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ON_A_CPU},
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_starts_finishes_and_says_how_it_learned(unhurt: dict[str, RunLayout]) -> None:
    layout = unhurt["pair"]
    (started,), (finished,) = records(layout, "started"), records(layout, "finished")
    assert (started["num_processes"], started["precision"]) == (2, "fp32")
    assert finished["step"] == 20
    assert finished["tokens_seen"] == losses(layout, "train/tokens_seen")[-1]
    assert losses(layout)[-1] < losses(layout)[0] - 1


def test_asked_to_stop_a_run_keeps_its_last_step(wounds: dict[str, Wound]) -> None:
    wound = wounds["asked to stop"]
    assert wound.gone
    assert wound.result is not None
    assert wound.result.status == "interrupted"
    assert 30 <= wound.result.step < LONG.max_steps
    assert _step(wound.checkpoints[-1]) == wound.result.step


@pytest.mark.parametrize("name", ["rank killed", "launcher killed"])
def test_a_killed_process_takes_the_others_along_without_a_word_of_success(
    wounds: dict[str, Wound], name: str
) -> None:
    wound = wounds[name]
    assert wound.gone
    assert wound.result is None or wound.result.status == "interrupted"


def test_each_launch_goes_on_from_the_newest_good_checkpoint(
    battered: RunLayout, wounds: dict[str, Wound]
) -> None:
    resumed = [record["step"] for record in records(battered, "resumed")]
    kept = [wound.checkpoints for wound in wounds.values()]
    assert resumed == [_step(kept[0][-1]), _step(kept[1][-1]), _step(kept[2][-2])]


def test_a_damaged_checkpoint_is_refused_with_a_reason_and_kept_aside(
    battered: RunLayout, wounds: dict[str, Wound]
) -> None:
    newest = wounds["launcher killed"].checkpoints[-1]
    (refused,) = records(battered, "checkpoint_refused")
    assert refused["path"] == newest
    assert "model.safetensors" in refused["reason"]
    assert (battered.checkpoints / f"{newest}.damaged-1").is_dir()


@pytest.mark.usefixtures("wounds")
def test_a_run_hit_three_times_ends_with_the_bytes_of_one_never_hit(
    battered: RunLayout, unhurt: dict[str, RunLayout]
) -> None:
    assert weights(battered) == weights(unhurt["long"])


@pytest.fixture(scope="module")
def endless(workshop: Workshop) -> Iterator[Running]:
    """A run of two processes that goes on until somebody ends it."""
    with started(workshop.prepare("endless", ENDLESS)) as running:
        yield running


def test_a_run_on_one_machine_listens_on_no_network(endless: Running) -> None:
    endless.wait_for("metrics", 1)
    open_ports = (
        each.laddr.ip
        for process in [endless.process, *endless.ranks()]
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    )
    assert set(open_ports) == {"127.0.0.1"}


def test_an_error_of_the_main_process_alone_ends_the_run(endless: Running) -> None:
    layout = endless.layout
    endless.wait_for("checkpoint", 10)
    # In the way of a checkpoint to come, and damaged.
    newest = _checkpoints(layout)[-1]
    obstacle = newest.with_name(f"step-{_step(newest.name) + 100:08d}")
    shutil.copytree(newest, obstacle)
    _flip_a_byte(obstacle)
    assert ended([*endless.ranks(), endless.process], 20)
    result = read_json(TrainingResult, layout.result)
    assert result.status == "failed"
    assert str(obstacle) in str(result.error)


def test_a_killed_caller_leaves_nothing(workshop: Workshop) -> None:
    layout = workshop.prepare("caller-killed", ENDLESS)
    program = [sys.executable, "-P", "-c", CALLER, str(layout.path)]
    with subprocess.Popen(program, env={**os.environ, **ON_A_CPU}) as caller:
        running = Running(layout, psutil.Process(caller.pid))
        running.wait_for("metrics", 10)
        tree = running.process.children(recursive=True)
        assert len(tree) == 3
        caller.kill()
        assert ended(tree, 20)


@pytest.fixture(scope="module")
def mistaken(workshop: Workshop) -> dict[str, RunLayout]:
    """Runs that cannot work, ended."""
    layouts = {
        name: workshop.prepare(f"mistaken-{name}", mistake.train, **mistake.changes)
        for name, mistake in MISTAKES.items()
    }
    end_all(list(layouts.values()))
    return layouts


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_one_sentence_for_a_person(
    mistaken: dict[str, RunLayout], name: str
) -> None:
    result = read_json(TrainingResult, mistaken[name].result)
    assert (result.status, result.input_error, result.model) == ("failed", True, None)
    assert result.error is not None
    assert re.search(MISTAKES[name].sentence, result.error)
    assert "\n" not in result.error


def test_what_is_not_finite_is_published_by_no_run(mistaken: dict[str, RunLayout]) -> None:
    assert _checkpoints(mistaken["rate"]) == []
    assert not mistaken["rate"].model.exists()


def test_a_mistake_is_the_error_of_the_launched_process(workshop: Workshop) -> None:
    mistake = MISTAKES["sequence"]
    layout = workshop.prepare("launched mistake", mistake.train)
    with supervised(command(layout), layout.log, ON_A_CPU) as process:
        assert wait(process, PATIENCE)
        assert process.returncode == 1
        with pytest.raises(InputError, match=mistake.sentence):
            training_outcome(process, layout)


@pytest.fixture(scope="module")
def by_hand(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Wound:
    """The long run of one process by accelerate alone, in a hostile shell, asked to stop."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "model.py").write_text("raise ImportError('the wrong model')")
    layout = workshop.prepare("by-hand", ALONE)
    accelerate = Path(sys.executable).with_name("accelerate")
    shell = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4", "ACCELERATE_MIXED_PRECISION": "bf16"}
    with subprocess.Popen(
        [
            accelerate,
            "launch",
            "--num_processes",
            "1",
            "--module",
            "corpusmill.model.train",
            layout.job,
        ],
        cwd=folder,
        env={**os.environ, **ON_A_CPU, **shell, "HF_HOME": str(folder)},
    ) as process:
        running = Running(layout, psutil.Process(process.pid))
        return _strike(running, 30, _terminate_the_launcher)


def test_accelerate_alone_trains_from_a_folder_with_a_model_of_its_own(
    workshop: Workshop, unhurt: dict[str, RunLayout], by_hand: Wound
) -> None:
    layout = workshop.prepare("by-hand", ALONE)
    finish_all([layout])
    assert weights(layout) == weights(unhurt["long alone"])


def test_a_run_of_one_process_keeps_its_step_when_its_launcher_is_asked_to_stop(
    by_hand: Wound,
) -> None:
    assert by_hand.gone
    assert by_hand.result is not None
    assert by_hand.result.status == "interrupted"
    assert _step(by_hand.checkpoints[-1]) == by_hand.result.step
