"""Fine-tuning: a model and labelled examples in, a network that answers with labels out."""

import dataclasses
import logging
from pathlib import Path

from corpusmill.model.tasks.config import MethodConfig, PredictionJob
from corpusmill.model.training.config import TrainConfig, check_batch
from corpusmill.model.training.job import TrainingJob, labeller_spec
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import ComputePrecision
from corpusmill.tasks.launch import limited_to, prediction_command, run_job
from corpusmill.tasks.stages.training import Follower, TrainingRun, Unheard, train

_PREDICTIONS_VERSION = 1
_LOGGER = logging.getLogger(__name__)


def plan_finetuning(
    layout: Layout, start: Ref, examples: Ref, method: MethodConfig, config: TrainConfig
) -> TrainingRun:
    """What is to be trained; `corpusmill.tasks.stages.training.train` trains it.

    Args:
        start: a model with its tokenizer.
        config: with precision and number of processes determined.

    Raises:
        ConfigError: the batch does not divide.
        ModelError: `start` is no model.
    """
    num_processes = config.hardware.num_processes
    assert num_processes and config.hardware.precision != "auto"
    check_batch(config, num_processes)
    spec = labeller_spec(examples.path, start.path, method, config, num_processes)
    job = TrainingJob(
        digest=spec.digest,
        directory=layout.run(spec.digest),
        tokenizer=start.path,
        examples=examples.path,
        method=method,
        initialize_from=start.path,
        num_processes=num_processes,
        model=None,
        train=config,
    )
    return TrainingRun(spec, job)


def teach(
    layout: Layout,
    start: Ref,
    examples: Ref,
    method: MethodConfig,
    config: TrainConfig,
    processors: int | None = None,
    *,
    follower: Follower | None = None,
) -> tuple[Ref, Ref]:
    """Trains a network, or reuses it, and has it answer the examples.

    Args:
        config: with precision and number of processes determined.
        processors: cores that its processes may use; None for all there are.
        follower: of its journal; None where nobody watches.

    Returns:
        The model, and its answers as `make_predictions` has them.

    Raises:
        ConfigError, ModelError: as `plan_finetuning`.
        InputError, ProcessError: as `corpusmill.tasks.stages.training.train`.
    """
    planned = plan_finetuning(layout, start, examples, method, config)
    run = dataclasses.replace(planned, processors=processors)
    model, _ = train(layout, run, follower or Unheard())
    precision = config.hardware.precision
    assert precision != "auto"
    return model, make_predictions(layout, model, examples, precision, processors)


def make_predictions(
    layout: Layout,
    model: Ref,
    examples: Ref,
    precision: ComputePrecision,
    processors: int | None = None,
) -> Ref:
    """What a model says of the examples for validation and test, in a process of its own.

    What the same bytes of a model said of the same examples is reused.

    Args:
        processors: cores that the process may use; None for all there are.
    """

    def write(directory: Path) -> None:
        job = PredictionJob(
            directory=directory, model=model.path, examples=examples.path, precision=precision
        )
        run_job(job, prediction_command, "prediction", limited_to(processors))

    inputs = {"model": content_digest(model), "examples": content_digest(examples)}
    config = {"precision": precision}
    spec = Spec("predictions", _PREDICTIONS_VERSION, inputs, config)
    predictions, reused = obtain(layout, spec, write)
    _LOGGER.info("answers of %s to %s%s", model, examples, " - reused" if reused else "")
    return predictions
