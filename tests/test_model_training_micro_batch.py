"""Micro-batches and memory: real processes under a limit of the operating system."""

import os
import resource
import subprocess
import sys

import pytest

from model.config import TrainingResult
from model.network.config import DecoderConfig
from model.training.config import TrainConfig
from storage.config import read_json
from storage.layout import RunLayout
from tests.training_runs import ON_A_CPU, PATIENCE, SHORT, Workshop, losses, records

# Wide enough that its activations are large beside what a process takes without them.
WIDE = DecoderConfig(
    hidden_size=256,
    num_hidden_layers=4,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=1024,
)
LONG_ROWS = SHORT.model_copy(
    update={
        "sequence_length": 512,
        "global_batch_size": 32,
        "micro_batch_size": 32,
        "max_steps": 1,
        "warmup_steps": 0,
        "validate_every": 1,
        "validation_windows": 2,
    }
)
GIGABYTE = 1 << 30


def _run(layout: RunLayout, extra_bytes: int | None) -> TrainingResult:
    """Trains with this much address space beyond what the imports take."""
    limit = (
        ""
        if extra_bytes is None
        else f"""
import resource, psutil
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + {extra_bytes}, resource.RLIM_INFINITY))
"""
    )
    program = f"""
import sys
import model.training.loop, torch
import torch._dynamo  # which the optimizer imports late: half imported it is no lack of memory
torch.ones(64, 64) @ torch.ones(64, 64)
{limit}
from model.train import main
sys.exit(main())
"""
    command = [sys.executable, "-P", "-c", program, str(layout.job)]
    environment = {**os.environ, **ON_A_CPU, "OMP_WAIT_POLICY": "PASSIVE"}
    with layout.log.open("ab") as output:
        subprocess.run(
            command, env=environment, stdout=output, stderr=output, check=False, timeout=PATIENCE
        )
    return read_json(TrainingResult, layout.result)


@pytest.fixture(scope="module")
def limited(workshop: Workshop) -> dict[str, tuple[RunLayout, TrainingResult]]:
    sizes: dict[str, tuple[TrainConfig, int | None]] = {
        "unlimited": (LONG_ROWS.model_copy(update={"micro_batch_size": 4}), None),
        "limited": (LONG_ROWS, GIGABYTE // 2),
        "hopeless": (LONG_ROWS, GIGABYTE // 32),
    }
    runs = {}
    for name, (train, extra) in sizes.items():
        layout = workshop.prepare(f"memory {name}", train, model=WIDE)
        runs[name] = layout, _run(layout, extra)
    return runs


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit on address space here")
def test_a_micro_batch_that_does_not_fit_is_halved_and_nothing_learned_changes(
    limited: dict[str, tuple[RunLayout, TrainingResult]],
) -> None:
    layout, result = limited["limited"]
    assert result.status == "finished", result.error
    halved = [record["micro_batch_size"] for record in records(layout, "micro_batch_halved")]
    assert halved == [16, 8, 4, 2, 1][: len(halved)] != []
    assert losses(layout) == pytest.approx(losses(limited["unlimited"][0]), abs=1e-4)


def test_what_does_not_fit_at_one_ends_in_a_sentence_with_the_numbers_and_the_fields(
    limited: dict[str, tuple[RunLayout, TrainingResult]],
) -> None:
    _, result = limited["hopeless"]
    assert (result.status, result.input_error) == ("failed", True)
    assert str(result.error).startswith("1 sequence of 512 tokens through ")
    assert "train.activation_checkpointing" in str(result.error)
    assert "\n" not in str(result.error)
