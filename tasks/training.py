"""Training: shards in, a model out; supervises the process and sends its journal to MLflow."""

import fcntl
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpusmill.model.config import TrainingJob, model_spec
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.training.config import (
    TrainConfig,
    check_batch,
    check_mixing,
    check_positions,
    check_sequence_length,
)
from corpusmill.storage.artifacts import Ref, Spec, obtain, set_aside
from corpusmill.storage.config import write_json_value
from corpusmill.storage.journal import JournalReader, Record
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import read_manifest, verify
from corpusmill.storage.metrics import (
    TOKENS_PER_SECOND,
    TOKENS_SEEN,
    VALIDATION_BITS_PER_BYTE,
    VALIDATION_LOSS,
)
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.tracking import MetricProjection, Tracker
from corpusmill.tasks.launch import (
    other_machine,
    supervised,
    training_command,
    training_environment,
    training_outcome,
    wait,
)
from corpusmill.tasks.progress import ProgressBar
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.tracking import FlowContext

_POLL_SECONDS = 0.5
_PROGRESS_SECONDS = 2.0


@task(
    name="train",
    task_run_name="train",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def train(
    context: FlowContext,
    shards: Ref,
    tokenizer: Ref,
    model: ModelConfig | None,
    config: TrainConfig,
    initialize_from: Ref | None = None,
) -> Ref:
    """Trains, resumes from the newest good checkpoint of the same run, or reuses its model.

    Args:
        config: with precision and number of processes determined.
    """
    num_processes = config.hardware.num_processes
    assert num_processes and config.hardware.precision != "auto"
    check_batch(config, num_processes)
    counts = read_manifest(shards.path)["counts"]
    check_sequence_length(config, {split: counts[split]["tokens"] for split in SPLITS})
    check_mixing(config, counts["train"]["sources"])
    if model:
        check_positions(model, config)
    start = initialize_from.path if initialize_from else None
    spec = model_spec(shards.path, tokenizer.path, start, model, config, num_processes)
    run = RunLayout(context.layout.run(spec.digest))
    run.path.mkdir(parents=True, exist_ok=True)
    job = TrainingJob(
        digest=spec.digest,
        directory=run.path,
        shards=shards.path,
        tokenizer=tokenizer.path,
        initialize_from=start,
        num_processes=num_processes,
        model=model,
        train=config,
    )
    follower = _Follower(run, context.tracker, config.max_steps)

    def write(directory: Path) -> None:
        with _only_one(run):
            if not _is_made(run.model, spec):
                _run_process(job, run, context.layout.compiled, follower)
            verify(run.model)
            _link_files(run.model, directory)

    trained, reused = obtain(context.layout, spec, write)
    follower.finish()
    if config.profile_steps and not reused:
        _show_profile(context.tracker, run)
    get_run_logger().info("model %s%s", trained.digest[:12], " - reused" if reused else "")
    return trained


def _is_made(model: Path, spec: Spec) -> bool:
    """Whether the run has exported the model of `spec`; a model of another spec is set aside."""
    if not model.exists():
        return False
    if read_manifest(model)["digest"] == spec.digest:
        return True
    get_run_logger().warning("another model is in the way: it is %s now", set_aside(model))
    return False


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


def _run_process(job: TrainingJob, run: RunLayout, compiled: Path, follower: "_Follower") -> None:
    write_json_value(run.job, job)
    run.result.unlink(missing_ok=True)
    command = training_command(job, run)
    get_run_logger().info(
        "training in %d processes; journal and output in %s", job.num_processes, run.path
    )
    for rank in range(1, job.train.hardware.num_machines):
        get_run_logger().info("on machine %d: %s", rank, shlex.join(other_machine(command, rank)))
    with supervised(command, run.log, training_environment(compiled)) as process:
        while not wait(process, _POLL_SECONDS):
            follower.follow()
    follower.follow()
    training_outcome(process, run)


def _validation(metrics: Mapping[str, float]) -> str:
    """Held-out loss, and what it means in bits where the model writes text."""
    bits = metrics.get(VALIDATION_BITS_PER_BYTE)
    said = "" if bits is None else f", {bits:.3f} bits per byte"
    return f"validation loss {metrics['validation/loss']:.3f}{said}"


class _Follower:
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
        records = self._reader.read()
        self._projection.add(records)
        for record in records:
            self._take(record)
        if records and time.monotonic() - self._shown_at > _PROGRESS_SECONDS:
            self._show()
        if problem := self._projection.flush():
            get_run_logger().warning("MLflow is down, the journal keeps its points: %s", problem)

    def finish(self) -> None:
        """Follows to the end and waits until MLflow has every point."""
        self.follow()
        self._show()
        self._projection.finish()

    def _take(self, record: Record) -> None:
        logger = get_run_logger()
        self._step = record.get("step", self._step)
        self._latest.update(record.get("metrics", {}))
        match record["event"]:
            case "resumed":
                logger.info("resumed from the checkpoint of step %d", self._step)
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
                logger.info(
                    "no better since step %d, validation loss %.3f: stopped early",
                    record["best_step"],
                    record["best_loss"],
                )
            case "checkpoint_refused":
                logger.warning("checkpoint %s refused: %s", record["path"], record["reason"])
            case "metrics" if VALIDATION_LOSS in record["metrics"]:
                logger.info(
                    "step %d/%d: %s",
                    self._step,
                    self._max_steps,
                    _validation(record["metrics"]),
                )

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


@contextmanager
def _only_one(run: RunLayout) -> Iterator[None]:
    """Lets one flow at a time work on a run; a second one waits, and then reuses the model."""
    with (run.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            get_run_logger().info("another flow trains this very run; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link_files(source: Path, directory: Path) -> None:
    """The run's exported model as an artifact, without a second copy where links are possible."""
    for entry in read_manifest(source)["files"]:
        target = directory / entry["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / entry["path"], target)
        except OSError:
            shutil.copyfile(source / entry["path"], target)


def project_journal(tracker: Tracker, journal: Path) -> int:
    """Sends the metrics of a journal to MLflow, and returns how many records it holds."""
    records = JournalReader(journal).read()
    projection = MetricProjection(tracker)
    projection.add(records)
    projection.finish()
    return len(records)
