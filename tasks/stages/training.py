"""Training: shards in, a model out, by a process of its own, whose journal is followed."""

import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from corpusmill.model.network.config import ModelConfig
from corpusmill.model.training.config import (
    TrainConfig,
    check_batch,
    check_beginning,
    check_mixing,
    check_positions,
    check_sequence_length,
)
from corpusmill.model.training.job import TrainingJob, model_spec, moments_spec
from corpusmill.storage.artifacts import (
    Ref,
    Spec,
    content_digest,
    discard,
    find_sound,
    folder_digest,
    obtain,
    set_aside,
)
from corpusmill.storage.config import write_json_value
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.manifest import read_manifest, verify
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.writing import lock_or_leave, locked
from corpusmill.tasks.launch import (
    limited_to,
    other_machine,
    supervised,
    training_command,
    training_environment,
    training_outcome,
    wait,
)

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 0.5


class Follower(Protocol):
    """Looks at the journal of a run while it grows."""

    def follow(self) -> None:
        """Takes in what is new; called twice a second, and once when the process has ended."""


class Unheard:
    """Nobody follows the journal."""

    def follow(self) -> None:
        """Takes nothing in."""


@dataclass(frozen=True)
class TrainingRun:
    """A run, before it is trained.

    Attributes:
        spec: of the model, what it is made from.
        job: what its process is given.
        processors: cores that each of its processes may use; None for all there are.
    """

    spec: Spec
    job: TrainingJob
    processors: int | None = None

    @property
    def files(self) -> RunLayout:
        """Where it works: its journal, checkpoints and output."""
        return RunLayout(self.job.directory)


def plan_run(
    layout: Layout,
    shards: Ref,
    tokenizer: Ref,
    model: ModelConfig | None,
    config: TrainConfig,
    initialize_from: Ref | None = None,
) -> TrainingRun:
    """What is to be trained, checked against the shards.

    Args:
        model: the shape of the network; None where `initialize_from` has one.
        config: with precision and number of processes determined.

    Raises:
        ConfigError: the shards do not suffice for it, are of another tokenizer, or it does not fit
            itself.
    """
    if not initialize_from:
        try:
            check_beginning(config)
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
    _check_tokenizer(shards, tokenizer, model)
    num_processes = config.hardware.num_processes
    assert num_processes and config.hardware.precision != "auto"
    check_batch(config, num_processes)
    counts = read_manifest(shards.path)["counts"]
    check_sequence_length(config, {split: counts[split]["tokens"] for split in SPLITS})
    check_mixing(config, counts["train"]["sources"])
    if model:
        check_positions(model, config)
    start = initialize_from.path if initialize_from else None
    left = _left_by(layout, initialize_from) if initialize_from else None
    given = shards.path, tokenizer.path, start, model, config, num_processes
    spec = model_spec(*given, moments=left)
    job = TrainingJob(
        digest=spec.digest,
        directory=layout.run(spec.digest),
        shards=shards.path,
        tokenizer=tokenizer.path,
        initialize_from=start,
        moments=left,
        num_processes=num_processes,
        model=model,
        train=config,
    )
    return TrainingRun(spec, job)


def _left_by(layout: Layout, model: Ref) -> Path | None:
    """What the run that made a model has left beside it; None where that is not in this store."""
    # A copy from the registry has the bytes of the model that it names.
    made = read_manifest(model.path)["inputs"].get("model") if model.kind == "registered" else None
    left = find_sound(layout, moments_spec(made or model.digest))
    if left is None:
        _LOGGER.info(
            "what the run that made the model has left beside it is not in this store: this one "
            "begins with its weights, and with a fresh optimizer"
        )
        return None
    return left.path


def _check_tokenizer(shards: Ref, tokenizer: Ref, model: ModelConfig | None) -> None:
    made = read_manifest(shards.path)["inputs"].get("tokenizer")
    if made not in (None, content_digest(tokenizer)):
        raise ConfigError(
            f"These shards ({shards.digest[:12]}) were made with another tokenizer than the one "
            f"given ({tokenizer.digest[:12]}); expected that one: make shards with it, or give the "
            "tokenizer they were made with."
        )
    if model and tokenizer.kind == "tokenizer":
        family = read_manifest(tokenizer.path)["config"].get("family", model.family)
        if family != model.family:
            raise ConfigError(
                f"The tokenizer is one of the family {family}, but the model, "
                f"{model.architecture}, is of {model.family}; expected one family: set "
                f"tokenizer.family to {model.family} and make tokenizer and shards again."
            )


def train(layout: Layout, run: TrainingRun, follower: Follower) -> tuple[Ref, bool]:
    """Trains, resumes from the newest good checkpoint of the same run, or reuses its model.

    Once the model is in the store and verifies, the checkpoints of the run go.

    Returns:
        The model, and whether it was there before.

    Raises:
        InputError: a sentence from the process about what a person must mend.
        ProcessError: it ended without a model; another call goes on from its checkpoint.
    """
    files = run.files
    files.path.mkdir(parents=True, exist_ok=True)

    def write(directory: Path) -> None:
        with _only_one(files):
            if not _is_made(files.model, run.spec):
                _run_process(run, layout.compiled, follower)
            verify(files.model)
            _link_files(files.model, directory)

    trained, reused = obtain(layout, run.spec, write)
    if files.moments.exists():
        _keep_moments(layout, files.moments, trained)
    if not reused:
        verify(trained.path)
    _drop_checkpoints(files)
    _LOGGER.info("model %s%s", trained.digest[:12], " - reused" if reused else "")
    return trained, reused


def _keep_moments(layout: Layout, moments: Path, model: Ref) -> None:
    """Takes what a run has left beside its model into the store."""
    spec = moments_spec(model.digest)
    kept = find_sound(layout, spec)
    # Where the clock ends a run, the same run made once more comes to other weights.
    if kept and content_digest(kept) != folder_digest(moments):
        discard(kept)
    obtain(layout, spec, lambda directory: _link_files(moments, directory))


def _is_made(model: Path, spec: Spec) -> bool:
    """Whether the run has exported the model of `spec`; a model of another spec is set aside."""
    if not model.exists():
        return False
    if read_manifest(model)["digest"] == spec.digest:
        return True
    _LOGGER.warning("another model is in the way: it is %s now", set_aside(model))
    return False


def _run_process(run: TrainingRun, compiled: Path, follower: Follower) -> None:
    job, files = run.job, run.files
    write_json_value(files.job, job)
    files.result.unlink(missing_ok=True)
    command = training_command(job, files)
    _LOGGER.info(
        "training in %d processes; journal and output in %s", job.num_processes, files.path
    )
    for rank in range(1, job.train.hardware.num_machines):
        _LOGGER.info("on machine %d: %s", rank, shlex.join(other_machine(command, rank)))
    environment = training_environment(compiled) | limited_to(run.processors)
    with supervised(command, files.log, environment) as process:
        while not wait(process, _POLL_SECONDS):
            follower.follow()
    follower.follow()
    training_outcome(process, files)


@contextmanager
def _only_one(run: RunLayout) -> Iterator[None]:
    """Lets one flow at a time work on a run; a second one waits, and then reuses the model."""
    with lock_or_leave(run.lock) as free:
        if free:
            yield
            return
    _LOGGER.info("another flow trains this very run; waiting for it")
    with locked(run.lock):
        yield


def _drop_checkpoints(run: RunLayout) -> None:
    """Removes what a run goes on from, unless another flow works on it yet."""
    if run.checkpoints.exists():
        with lock_or_leave(run.lock) as free:
            if free:
                shutil.rmtree(run.checkpoints)


def _link_files(source: Path, directory: Path) -> None:
    """The run's exported model as an artifact, without a second copy where links are possible."""
    for entry in read_manifest(source)["files"]:
        target = directory / entry["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / entry["path"], target)
        except OSError:
            shutil.copyfile(source / entry["path"], target)
