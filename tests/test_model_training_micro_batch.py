"""Micro-batches and memory: real processes under a limit of the operating system."""

import re
import resource

import pytest

from corpusmill.flows.overrides import override
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import TrainingResult
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import RunLayout
from tests.training_runs import SHORT, Workshop, end_all, losses, records

# Wide enough that its activations are large beside what a process takes without them.
WIDE = DecoderConfig(
    hidden_size=256,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=1024,
)
LONG_ROWS = override(
    SHORT,
    {
        "sequence_length": 512,
        "global_batch_size": 16,
        "hardware.micro_batch_size": 16,
        "max_steps": 1,
        "schedule.warmup_steps": 0,
        "validation.every": 1,
        "validation.windows": 2,
    },
)
GIGABYTE = 1 << 30


@pytest.fixture(scope="module")
def limited(workshop: Workshop) -> dict[str, tuple[RunLayout, TrainingResult]]:
    sizes: dict[str, tuple[TrainConfig, int | None]] = {
        "unlimited": (override(LONG_ROWS, {"hardware.micro_batch_size": 4}), None),
        "limited": (LONG_ROWS, GIGABYTE // 4),
        "dropping": (LONG_ROWS.model_copy(update={"dropout": 0.1}), GIGABYTE // 4),
        "hopeless": (LONG_ROWS, GIGABYTE // 32),
    }
    runs = {}
    for name, (train, extra) in sizes.items():
        layout = workshop.prepare(f"memory {name}", train, model=WIDE)
        end_all([layout], room=extra)
        runs[name] = layout, read_json(TrainingResult, layout.result)
    return runs


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit on address space here")
def test_a_micro_batch_that_does_not_fit_is_halved_and_nothing_learned_changes(
    limited: dict[str, tuple[RunLayout, TrainingResult]],
) -> None:
    layout, result = limited["limited"]
    assert result.status == "finished", result.error
    halved = [record["micro_batch_size"] for record in records(layout, "micro_batch_halved")]
    assert halved == [8, 4, 2, 1][: len(halved)] != []
    assert losses(layout) == pytest.approx(losses(limited["unlimited"][0]), abs=1e-4)


def test_with_dropout_it_is_not_halved_for_that_would_draw_another_model(
    limited: dict[str, tuple[RunLayout, TrainingResult]],
) -> None:
    layout, result = limited["dropping"]
    assert (result.status, result.input_error) == ("failed", True)
    sentence = r"micro_batch_size 16 does not fit into memory, [8421] does; it is not halved"
    assert re.search(sentence, str(result.error))
    assert not records(layout, "micro_batch_halved")


def test_what_does_not_fit_at_one_ends_in_a_sentence_with_the_numbers_and_the_fields(
    limited: dict[str, tuple[RunLayout, TrainingResult]],
) -> None:
    _, result = limited["hopeless"]
    assert (result.status, result.input_error) == ("failed", True)
    assert str(result.error).startswith("1 sequence of 512 tokens through ")
    assert "train.hardware.activation_checkpointing" in str(result.error)
    assert "\n" not in str(result.error)
