"""What a run publishes, and who reads it."""

from dataclasses import replace

import pytest
from accelerate import Accelerator

from corpusmill.flows.overrides import override
from corpusmill.model.training.checkpoint import Progress
from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.publishing import publish_model
from corpusmill.model.training.run import build_run
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ArtifactError
from tests.training_runs import SHORT, Workshop


def test_the_best_checkpoint_is_read_by_the_main_process_alone(workshop: Workshop) -> None:
    train = override(SHORT, {"validation.early_stopping": 1})
    layout = workshop.prepare("published", train)
    main = build_run(read_json(TrainingJob, layout.job), layout, Accelerator(cpu=True))
    main.progress = Progress(step=3, best_step=2)
    assert main.journal
    main.journal.close()
    with pytest.raises(ArtifactError, match="step-00000002 is not a complete artifact"):
        publish_model(main)
    publish_model(replace(main, journal=None))  # as another process has it
