"""Our fine-tuning beside the Trainer: what `labels.py` runs, as the flow `finetune` does it."""

import os
import resource
import time
from dataclasses import replace
from typing import Any

from corpusmill.flows.overrides import override
from corpusmill.flows.task_config import FinetuneConfig
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.predictions import predictions_path
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import Layout
from corpusmill.tasks.stages import finetuning, training
from tests.benchmarks.labels_run import LabelRun


def train_ours(run: LabelRun, start: Ref, examples: Ref) -> dict[str, Any]:
    """Trains once in a store of its own, by the process that the flow starts."""
    store, begun = Layout(run.folder / "home"), time.time()
    planned = finetuning.plan_finetuning(store, start, examples, MethodConfig(), _config(run))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    model, _ = training.train(store, replace(planned, processors=1), training.Unheard())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.time() - begun
    journal = JournalReader(planned.files.journal).read()
    logged = [each for each in journal if "train/loss" in each.get("metrics", {})]
    if run.scored:
        said = finetuning.make_predictions(store, model, examples, run.precision)
        run.predictions.parent.mkdir(parents=True, exist_ok=True)
        os.link(predictions_path(said.path, "test"), run.predictions)
    return {
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "first_step_s": round(logged[0]["time"] - begun, 2),
        "seconds": round(seconds, 2),
    }


def _config(run: LabelRun) -> TrainConfig:
    """The flow's own config with what this run says."""
    base: TrainConfig = FinetuneConfig.model_fields["train"].default
    return override(
        base,
        {
            "max_steps": run.steps,
            "seed": run.seed,
            "sequence_length": run.length,
            "global_batch_size": run.batch,
            "dropout": run.dropout,
            "optimizer.learning_rate": run.rate,
            "optimizer.weight_decay": run.weight_decay,
            "optimizer.adam_beta1": run.betas[0],
            "optimizer.adam_beta2": run.betas[1],
            "optimizer.adam_epsilon": run.epsilon,
            "optimizer.max_grad_norm": run.max_grad_norm,
            "schedule.warmup_steps": run.warmup,
            "schedule.decay_fraction": 1 - run.warmup / run.steps,
            "hardware.micro_batch_size": run.batch,
            "hardware.precision": run.precision,
            "log_every": 20 if run.scored else 1,
            # The Trainer saves and validates nothing on its way either.
            "checkpoint_every": run.steps,
            "validation.every": run.steps,
            "validation.windows": 1,
        },
    )
