"""The same run in other layouts: replicas and shards, of two and three processes."""

from collections.abc import Mapping

import pytest

from corpusmill.flows.overrides import override
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.model.training.job import TrainingJob
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import RunLayout
from corpusmill.tasks.launch import other_machine, supervised, training_command, wait
from tests.forks import ON_A_CPU
from tests.servers import free_port
from tests.training_runs import (
    PATIENCE,
    SHORT,
    Workshop,
    finish_all,
    losses,
    records,
    stop_after,
)

BASE = override(SHORT, {"global_batch_size": 12, "hardware.micro_batch_size": 2, "max_steps": 12})
ADAMW = override(
    BASE,
    {"optimizer.name": "adamw", "optimizer.learning_rate": 0.01, "optimizer.max_grad_norm": 1.0},
)


def _layout(
    base: TrainConfig, parallelism: str, processes: int, more: Mapping[str, object] = {}
) -> TrainConfig:
    layout = {"hardware.parallelism": parallelism, "hardware.num_processes": processes}
    return override(base, {**layout, **more})


RUNS = {
    "muon": BASE,
    "adamw": ADAMW,
    "muon ddp 3": _layout(BASE, "ddp", 3),
    "muon fsdp 2": _layout(
        BASE,
        "fsdp",
        2,
        {"hardware.activation_checkpointing": True, "hardware.compile": "always"},
    ),
    "muon fsdp 3": _layout(BASE, "fsdp", 3, {"average.name": "ema"}),
    "adamw ddp 2": _layout(ADAMW, "ddp", 2),
    "adamw fsdp 3": _layout(
        ADAMW, "fsdp", 3, {"hardware.micro_batch_size": 4, "average.name": "line"}
    ),
}
MOVED = BASE.model_copy(update={"max_steps": 40, "checkpoint_every": 10})
MOVES = {
    "ddp 2 to fsdp 3": (_layout(MOVED, "ddp", 2), _layout(MOVED, "fsdp", 3)),
    "fsdp 3 to ddp 2": (_layout(MOVED, "fsdp", 3), _layout(MOVED, "ddp", 2)),
}


@pytest.fixture(scope="module")
def runs(workshop: Workshop) -> dict[str, RunLayout]:
    layouts = {name: workshop.prepare(f"layout {name}", train) for name, train in RUNS.items()}
    finish_all(list(layouts.values()), "torch._inductor.compile_fx")
    return layouts


@pytest.mark.parametrize("name", [name for name in RUNS if " " in name])
@pytest.mark.parametrize("key", ["train/loss", "train/gradient_norm"])
def test_a_layout_changes_nothing_that_is_learned(
    runs: dict[str, RunLayout], name: str, key: str
) -> None:
    expected = losses(runs[name.split(maxsplit=1)[0]], key)
    assert losses(runs[name], key) == pytest.approx(expected, abs=2e-4)


def test_two_machines_that_meet_where_the_config_says_learn_what_one_does(
    workshop: Workshop, runs: dict[str, RunLayout]
) -> None:
    machines = {
        "num_machines": 2,
        "main_process_ip": "127.0.0.1",
        "main_process_port": free_port(),
    }
    train = _layout(BASE, "ddp", 2, {"hardware.machines": machines})
    layout = workshop.prepare("two machines", train)
    first = training_command(read_json(TrainingJob, layout.job), layout)
    with (
        supervised(other_machine(first, 1), layout.path / "other.log", ON_A_CPU) as other,
        supervised(first, layout.log, ON_A_CPU) as main,
    ):
        assert wait(main, PATIENCE)
        assert wait(other, PATIENCE)
    assert (main.returncode, other.returncode) == (0, 0)
    assert [record["num_processes"] for record in records(layout, "started")] == [2]
    assert losses(layout) == pytest.approx(losses(runs["muon"]), abs=2e-4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"machines": {"num_machines": 2}}, r"machines.main_process_ip\n.*Field required"),
        (
            {
                "num_processes": 3,
                "machines": {
                    "num_machines": 2,
                    "main_process_ip": "10.0.0.1",
                    "main_process_port": 29500,
                },
            },
            "num_processes 3 does not divide over num_machines 2",
        ),
    ],
)
def test_machines_that_could_not_meet_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        HardwareConfig.model_validate(changes)


@pytest.fixture(scope="module")
def moved(workshop: Workshop) -> dict[str, RunLayout]:
    """Runs that are stopped in one layout and go on in another."""
    layouts = {name: workshop.prepare(name, first) for name, (first, _) in MOVES.items()}
    stop_after(list(layouts.values()), 10)
    layouts = {name: workshop.prepare(name, second) for name, (_, second) in MOVES.items()}
    layouts["unmoved"] = workshop.prepare("unmoved", MOVED)
    finish_all(list(layouts.values()))
    return layouts


@pytest.mark.parametrize("name", MOVES)
def test_a_checkpoint_of_one_layout_is_read_by_another(
    moved: dict[str, RunLayout], name: str
) -> None:
    (resumed,) = records(moved[name], "resumed")
    assert 10 <= resumed["step"] < MOVED.max_steps
    assert not records(moved[name], "checkpoint_refused")
    # Steps that were logged twice count as they were computed last.
    expected = losses(moved["unmoved"])
    assert losses(moved[name])[-20:] == pytest.approx(expected[-20:], abs=2e-3)
