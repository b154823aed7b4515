"""What may be asked of a training run beside the usual, in real processes."""

import pytest
import torch
from safetensors.torch import load_file

from corpusmill.flows.overrides import override
from corpusmill.model.hf.folder import load_model
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import TrainingResult
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import RunLayout
from tests.training_runs import (
    SHORT,
    Workshop,
    finish_all,
    losses,
    records,
    stop_after,
    weights,
)

OPTIONS = override(
    SHORT,
    {
        "batch_size_warmup.initial": 4,
        "batch_size_warmup.steps": 6,
        "sequence_length_warmup.initial": 8,
        "sequence_length_warmup.steps": 10,
        "dropout": 0.1,
        "average.name": "ema",
        "max_steps": 24,
    },
)
RUNS = {
    "plain": SHORT,
    "options": OPTIONS,
    "stopped": OPTIONS.model_copy(update={"checkpoint_every": 7}),
    "pair": override(
        OPTIONS, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2, "dropout": 0.0}
    ),
    "undropped": OPTIONS.model_copy(update={"dropout": 0.0}),
    "timed": override(SHORT, {"max_seconds": 1e-6, "hardware.num_processes": 2}),
    "averaged": override(SHORT, {"average.name": "checkpoints", "average.every": 2}),
    "overfitted": override(
        SHORT,
        {
            "optimizer.learning_rate": 1.0,
            "schedule.name": "inverse_sqrt",
            "max_steps": 400,
            "validation.every": 5,
            "validation.early_stopping": 4,
            "checkpoint_every": 1000,
        },
    ),
}


@pytest.fixture(scope="module")
def runs(workshop: Workshop) -> dict[str, RunLayout]:
    layouts = {name: workshop.prepare(f"option-{name}", train) for name, train in RUNS.items()}
    stop_after([layouts["stopped"]], 7)
    finish_all(list(layouts.values()))
    return layouts


def test_a_batch_warm_up_reads_the_tokens_of_its_batches(runs: dict[str, RunLayout]) -> None:
    (finished,) = records(runs["options"], "finished")
    assert finished["tokens_seen"] == (6 * 4 + 18 * 8) * OPTIONS.sequence_length


def test_warm_ups_and_averages_do_not_depend_on_the_number_of_processes(
    runs: dict[str, RunLayout],
) -> None:
    for key in ("train/loss", "validation/loss"):
        expected = losses(runs["undropped"], key)
        assert losses(runs["pair"], key) == pytest.approx(expected, abs=1e-4)


def test_with_every_option_a_run_stopped_and_resumed_ends_with_the_same_bytes(
    runs: dict[str, RunLayout],
) -> None:
    assert records(runs["stopped"], "resumed")
    assert weights(runs["stopped"]) == weights(runs["options"])


def test_dropout_changes_what_is_learned(runs: dict[str, RunLayout]) -> None:
    assert losses(runs["options"])[3:] != losses(runs["undropped"])[3:]


def test_an_average_is_validated_and_exported_and_does_not_touch_training(
    runs: dict[str, RunLayout],
) -> None:
    assert losses(runs["averaged"]) == losses(runs["plain"])
    assert losses(runs["averaged"], "validation/loss") != losses(runs["plain"], "validation/loss")
    assert weights(runs["averaged"]) != weights(runs["plain"])


def test_a_run_that_stops_early_says_so_and_exports_its_best_weights(
    runs: dict[str, RunLayout],
) -> None:
    (stopped,) = records(runs["overfitted"], "stopped_early")
    validated = losses(runs["overfitted"], "validation/loss")
    assert stopped["best_loss"] == min(validated)
    assert stopped["step"] == stopped["best_step"] + 4 * 5 < 400
    best = runs["overfitted"].checkpoints / f"step-{stopped['best_step']:08d}"
    learned, exported = load_file(best / "model.safetensors"), load_model(runs["overfitted"].model)
    for name, parameter in exported[0].named_parameters():
        rows = min(len(parameter), exported[0].vocab_size)
        assert torch.equal(learned[name][:rows], parameter[:rows]), name


def test_a_run_out_of_time_stops_with_all_its_processes_and_exports_what_it_has(
    runs: dict[str, RunLayout],
) -> None:
    layout = runs["timed"]
    (stopped,) = records(layout, "stopped_by_time")
    assert (stopped["step"], stopped["max_seconds"]) == (1, 1e-6)
    assert read_json(TrainingResult, layout.result).step == 1
    assert len(losses(layout, "validation/loss")) == 1
    assert len(weights(layout)) == len(weights(runs["plain"]))


def test_the_loop_is_hardly_blocked_by_a_checkpoint(runs: dict[str, RunLayout]) -> None:
    written = records(runs["plain"], "checkpoint")
    assert [record["step"] for record in written] == [20]
    assert all(record["blocked_seconds"] < record["seconds"] for record in written)


@pytest.mark.parametrize(
    ("warmup", "sentence"),
    [
        ({"initial": 3, "steps": 2}, "batch 3 does not grow to 8"),
        ({"initial": 4}, r"batch_size_warmup.steps\n.*Field required"),
        ({"steps": 4}, r"batch_size_warmup.initial\n.*Field required"),
    ],
)
def test_a_warm_up_that_cannot_be_is_refused_with_its_numbers(
    warmup: dict[str, int], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainConfig.model_validate({"global_batch_size": 8, "batch_size_warmup": warmup})
