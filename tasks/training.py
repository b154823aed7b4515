"""Training as a task, and its journal, projected to MLflow and to Prefect's progress."""

import time
from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.network.config import ModelConfig
from corpusmill.model.training.config import (
    TrainConfig,
)
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.journal import JournalReader, Record
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.metrics import (
    DECIDING,
    TOKENS_PER_SECOND,
    TOKENS_SEEN,
    VALIDATION_BITS_PER_BYTE,
    VALIDATION_LOSS,
    labelled,
)
from corpusmill.storage.projection import MetricProjection
from corpusmill.storage.tracking import Tracker
from corpusmill.tasks.progress import ProgressBar
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import training
from corpusmill.tasks.tracking import FlowContext

_POLL_SECONDS = 0.5
_PROGRESS_SECONDS = 2.0


@stage("train", retries=3)
def train(
    context: FlowContext,
    shards: Ref,
    tokenizer: Ref,
    model: ModelConfig | None,
    config: TrainConfig,
    initialize_from: Ref | None = None,
) -> Ref:
    """Trains, resumes from the newest good checkpoint of the same run, or reuses its model.

    The journal is shown in MLflow and in Prefect's progress while it grows.

    Args:
        config: with precision and number of processes determined.
    """
    layout = context.layout
    run = training.plan_run(layout, shards, tokenizer, model, config, initialize_from)
    follower = JournalFollower(run.files, context.tracker, config.max_steps)
    trained, reused = training.train(layout, run, follower)
    follower.finish(reused)
    if config.profile_steps and not reused:
        _show_profile(context.tracker, run.files)
    return trained


def _show_profile(tracker: Tracker, run: RunLayout) -> None:
    """The profile in MLflow, and its table in Prefect."""
    path = run.profile / "table.txt"
    if not path.exists():
        get_run_logger().warning(
            "no profile: training went on from a checkpoint after the steps to be profiled"
        )
        return
    for each in sorted(run.profile.glob("*")):
        tracker.log_file(each, "profile")
    table = path.read_text(encoding="utf-8")
    create_markdown_artifact(
        "Where the time of the profiled steps went, the operators that took the most of it "
        f"themselves first.\n\n```\n{table}\n```",
        key="profile",
        description="Profile of training; the trace is an artifact of the run in MLflow.",
    )


def _validation(metrics: Mapping[str, float]) -> str:
    """Held-out loss, what it means in bits where the model writes text, and figures of labels."""
    bits = metrics.get(VALIDATION_BITS_PER_BYTE)
    said = "" if bits is None else f", {bits:.3f} bits per byte"
    for name in DECIDING:
        figure = metrics.get(labelled("validation", name))
        said += "" if figure is None else f", {name} {figure:.4f}"
    return f"validation loss {metrics['validation/loss']:.3f}{said}"


class JournalFollower:
    """Follows the journal into MLflow and into Prefect's progress."""

    def __init__(self, run: RunLayout, tracker: Tracker, max_steps: int) -> None:
        self._reader = JournalReader(run.journal)
        self._projection = MetricProjection(tracker)
        self._max_steps = max_steps
        self._bar = ProgressBar("training")
        self._shown_at = 0.0
        self._latest: dict[str, float] = {}
        self._step = 0

    def follow(self) -> None:
        """Sends what is new in the journal; if the MLflow server is down, only warns."""
        records = self._read()
        for record in records:
            self._log(record)
        if records and time.monotonic() - self._shown_at > _PROGRESS_SECONDS:
            self._show()
        if problem := self._projection.flush():
            get_run_logger().warning("MLflow is down, the journal keeps its points: %s", problem)

    def finish(self, reused: bool) -> None:
        """Follows to the end and waits until MLflow has every point.

        Args:
            reused: whether an earlier run has trained the model, and logged what is in the journal.
        """
        if reused:
            self._read()
        else:
            self.follow()
        self._show()
        self._projection.finish()

    def _read(self) -> list[Record]:
        records = self._reader.read()
        self._projection.add(records)
        for record in records:
            self._step = record.get("step", self._step)
            self._latest.update(record.get("metrics", {}))
        return records

    def _log(self, record: Record) -> None:
        logger, step = get_run_logger(), record.get("step", self._step)
        match record["event"]:
            case "resumed":
                logger.info("resumed from the checkpoint of step %d", step)
            case "started":
                if record["dropped_tokens"]:
                    logger.info(
                        "%s tokens are in texts too short, or pairs too long, to be read",
                        record["dropped_tokens"],
                    )
                does = "compiling" if record["compiled"] else "not compiling"
                logger.info("%s: %s", does, record["compilation"])
            case "micro_batch_halved":
                logger.warning(
                    "out of memory: train.hardware.micro_batch_size is %d now",
                    record["micro_batch_size"],
                )
            case "stopped_early":
                figure = record.get("best_figure")
                logger.info(
                    "no better since step %d, validation loss %.3f%s: stopped early",
                    record["best_step"],
                    record["best_loss"],
                    "" if figure is None else f" and figure {figure:.4f}",
                )
            case "stopped_by_time":
                logger.info(
                    "stopped by time: the %g s of train.max_seconds are over after step %d of %d",
                    record["max_seconds"],
                    step,
                    self._max_steps,
                )
            case "checkpoint_refused":
                logger.warning("checkpoint %s refused: %s", record["path"], record["reason"])
            case "metrics" if VALIDATION_LOSS in record["metrics"]:
                logger.info("step %d/%d: %s", step, self._max_steps, _validation(record["metrics"]))

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        percent = min(100.0, 100 * self._step / self._max_steps)
        self._bar.show(percent, self._describe())

    def _describe(self) -> str:
        if not self._latest:
            return f"step {self._step:,} of {self._max_steps:,}"
        rate = self._latest.get(TOKENS_PER_SECOND, 0.0)
        seen = self._latest.get(TOKENS_SEEN, 0.0)
        left = seen / max(1, self._step) * (self._max_steps - self._step) / max(rate, 1e-9)
        return (
            f"step {self._step:,} of {self._max_steps:,}, "
            f"loss {self._latest.get('train/loss', float('nan')):.3f}, "
            f"{rate:,.0f} tokens/s, {left:.0f} s left"
        )


def project_journal(tracker: Tracker, journal: Path) -> int:
    """Sends the metrics of a journal to MLflow, and returns how many records it holds."""
    records = JournalReader(journal).read()
    projection = MetricProjection(tracker)
    projection.add(records)
    projection.finish()
    return len(records)
