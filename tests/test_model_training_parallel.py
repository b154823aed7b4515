"""The same run in other layouts: replicas and shards, of two and three processes."""

import pytest

from model.training.config import TrainConfig
from storage.layout import RunLayout
from tests.training_runs import (
    SHORT,
    Workshop,
    finish_all,
    losses,
    records,
    started,
)

BASE = SHORT.model_copy(update={"global_batch_size": 12, "micro_batch_size": 2, "max_steps": 12})
ADAMW = BASE.model_copy(update={"optimizer": "adamw", "learning_rate": 0.01, "max_grad_norm": 1.0})


def _layout(base: TrainConfig, parallelism: str, processes: int, **more: object) -> TrainConfig:
    layout = {"parallelism": parallelism, "num_processes": processes}
    return base.model_copy(update={**layout, **more})


RUNS = {
    "muon": BASE,
    "adamw": ADAMW,
    "muon ddp 3": _layout(BASE, "ddp", 3),
    "muon fsdp 2": _layout(BASE, "fsdp", 2, weight_average="ema"),
    "muon fsdp 3": _layout(BASE, "fsdp", 3, activation_checkpointing=True),
    "adamw ddp 2": _layout(ADAMW, "ddp", 2),
    "adamw fsdp 3": _layout(ADAMW, "fsdp", 3, micro_batch_size=4),
}
MOVED = BASE.model_copy(update={"max_steps": 60, "checkpoint_every": 10})
MOVES = {
    "ddp 2 to fsdp 3": (_layout(MOVED, "ddp", 2), _layout(MOVED, "fsdp", 3)),
    "fsdp 3 to ddp 2": (_layout(MOVED, "fsdp", 3), _layout(MOVED, "ddp", 2)),
}


@pytest.fixture(scope="module")
def runs(workshop: Workshop) -> dict[str, RunLayout]:
    layouts = {name: workshop.prepare(f"layout {name}", train) for name, train in RUNS.items()}
    finish_all(list(layouts.values()))
    return layouts


@pytest.mark.parametrize("name", [name for name in RUNS if " " in name])
@pytest.mark.parametrize("key", ["train/loss", "train/gradient_norm"])
def test_a_layout_changes_nothing_that_is_learned(
    runs: dict[str, RunLayout], name: str, key: str
) -> None:
    expected = losses(runs[name.split(maxsplit=1)[0]], key)
    assert losses(runs[name], key) == pytest.approx(expected, abs=2e-4)


@pytest.fixture(scope="module")
def moved(workshop: Workshop) -> dict[str, RunLayout]:
    """Runs that are stopped in one layout and go on in another."""
    layouts = {"unmoved": workshop.prepare("unmoved", MOVED)}
    for name, (first, second) in MOVES.items():
        layout = workshop.prepare(name, first)
        with started(layout) as running:
            running.wait_for("checkpoint", 10)
            running.process.terminate()
            running.process.wait()
        layouts[name] = workshop.prepare(name, second)
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
