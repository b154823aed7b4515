"""What a run says of held-out text."""

from dataclasses import replace

import pytest
from accelerate import Accelerator

from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.run import Run, build_run
from corpusmill.model.training.validation import validate
from corpusmill.storage.config import read_json
from tests.training_runs import SHORT, Workshop, losses


def _prepared(workshop: Workshop) -> Run:
    layout = workshop.prepare("validated", SHORT)
    return build_run(read_json(TrainingJob, layout.job), layout, Accelerator(cpu=True))


def test_what_a_tokenizer_loses_costs_eight_bits_a_byte_in_mid_run_too(workshop: Workshop) -> None:
    run = _prepared(workshop)
    size = run.held_out["bytes"]
    for lost in (0, size // 2):
        validate(replace(run, held_out={**run.held_out, "lost_bytes": lost}))
    exact, lossy = losses(run.layout, "validation/bits_per_byte")
    assert lossy - exact == pytest.approx(8 * (size // 2) / size)
    assert run.journal
    run.journal.close()
