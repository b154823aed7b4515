"""How a network is trained, and what a run refuses before it begins. Imports no torch."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from corpusmill.model.data.config import MixingPhase
from corpusmill.model.network.config import DecoderConfig, ModelConfig
from corpusmill.model.objectives.config import Objective
from corpusmill.model.training.groups import (
    Average,
    CheckpointAverageConfig,
    HardwareConfig,
    LineMeanConfig,
    MuonConfig,
    Optimizer,
    Packing,
    Schedule,
    SizeWarmUp,
    ValidationConfig,
    WindowPacking,
    WSDSchedule,
)
from corpusmill.storage.config import Config, Seed
from corpusmill.storage.errors import ConfigError


class TrainConfig(Config):
    """How long, how fast and in what pieces the network learns.

    What is typed most often, and what no group owns, stands here; the rest is grouped by its owner
    (`corpusmill.model.training.groups`), so that what would have no effect cannot be written.

    Attributes:
        max_steps: optimizer steps in the whole run.
        max_seconds: of optimizer steps, over all launches of the run, after which it is finished
            with the weights it has, the learning rate being down as after the last step; None sets
            no limit. Where it is reached the clock decides which model comes out.
        sequence_length: tokens a sample predicts.
        global_batch_size: sequences an optimizer step, over all processes.
        objectives: what is learned; none for what the model's family is made for.
        packing: how the text becomes samples.
        mixing: phases in which sources are drawn from by weight; none for all text once an epoch.
        batch_size_warmup, sequence_length_warmup: smaller ones at first. Samples are then cut into
            pieces of that length.
        optimizer, schedule: what moves the weights, and how its rate rises and falls.
        dropout: share of the embeddings' and of every layer's outputs that is dropped.
        label_smoothing: share of the target that is spread evenly over the vocabulary.
        average: the mean of the weights that is validated and exported; None takes the last ones.
        validation: of the run, on its way.
        hardware: where it runs.
        log_every, checkpoint_every: in optimizer steps.
        profile_steps: optimizer steps that are traced, after the first ten.
    """

    max_steps: PositiveInt = 1400
    # Left out if not set, so that the identities of models made before this field existed stay.
    max_seconds: float | None = Field(None, gt=0, exclude_if=operator.not_)
    sequence_length: PositiveInt = 256
    global_batch_size: PositiveInt = 8
    seed: Seed = 0
    objectives: tuple[Objective, ...] = ()
    packing: Packing = WindowPacking()
    mixing: tuple[MixingPhase, ...] = ()
    batch_size_warmup: SizeWarmUp | None = None
    sequence_length_warmup: SizeWarmUp | None = None
    optimizer: Optimizer = MuonConfig()
    schedule: Schedule = WSDSchedule()
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    average: Average | None = None
    validation: ValidationConfig = ValidationConfig()
    hardware: HardwareConfig = HardwareConfig()
    log_every: PositiveInt = 10
    checkpoint_every: PositiveInt = 100
    profile_steps: int = Field(0, ge=0)

    def on_hardware(self, **changes: Any) -> Self:
        """The same with other fields of `hardware`."""
        return self.model_copy(update={"hardware": self.hardware.model_copy(update=changes)})

    @model_validator(mode="after")
    def _check_schedule(self) -> "TrainConfig":
        warmup_steps = self.schedule.warmup_steps
        if warmup_steps >= self.max_steps:
            raise ValueError(
                f"schedule.warmup_steps {warmup_steps} leaves nothing of max_steps {self.max_steps}"
            )
        return self

    @model_validator(mode="after")
    def _check_average(self) -> "TrainConfig":
        if self.max_seconds and isinstance(self.average, CheckpointAverageConfig):
            raise ValueError(
                f"average.name is checkpoints, those before the last step, which max_seconds "
                f"{self.max_seconds:g} leaves open; set average.name to ema, or leave one out"
            )
        if self.validation.early_stopping and isinstance(self.average, LineMeanConfig):
            raise ValueError(
                "average.name is line, the mean with the last weights, and "
                "validation.early_stopping exports others; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _check_warm_ups(self) -> "TrainConfig":
        for name, warmup, last in (
            ("batch", self.batch_size_warmup, self.global_batch_size),
            ("sequence_length", self.sequence_length_warmup, self.sequence_length),
        ):
            first = warmup.initial if warmup else 0
            if first and (last % first or (last // first).bit_count() != 1 or last == first):
                raise ValueError(
                    f"the initial {name} {first} does not grow to {last} by doubling; expected "
                    f"{last} divided by 2, 4, 8 or so on"
                )
        return self

    @model_validator(mode="after")
    def _check_objectives(self) -> "TrainConfig":
        names = [each.objective for each in self.objectives]
        if len(set(names)) < len(names):
            raise ValueError(f"objectives names {', '.join(names)}; expected each of them once")
        if len(names) > 1 and self.mixing:
            raise ValueError(
                "mixing draws samples by source and objectives by weight; give one of the two"
            )
        joined = len(names) > 1 or "fill_in_the_middle" in names
        if joined and self.packing != WindowPacking():
            raise ValueError(
                f"objectives {', '.join(names)} are read in windows; set packing.name to windows "
                "and packing.document_mask to false"
            )
        if self.sequence_length_warmup and names and names != ["next_token"]:
            raise ValueError(
                f"sequence_length_warmup cuts samples of next_token, not of {', '.join(names)}"
            )
        return self

    @model_validator(mode="after")
    def _check_phases(self) -> "TrainConfig":
        ends = [phase.until for phase in self.mixing]
        if ends and (ends != sorted(set(ends)) or ends[-1] != 1):
            raise ValueError(
                f"the phases of mixing end at {ends}; expected rising fractions, the last one 1"
            )
        return self


def check_beginning(train: TrainConfig) -> None:
    """Raises ValueError if a network that begins with noise is to be averaged with one before."""
    if isinstance(train.average, LineMeanConfig):
        raise ValueError(
            "train.average.name is line, the mean with the model that a run goes on from, but this "
            "run begins with noise; expected ema, checkpoints or nothing: set that"
        )


def check_device(train: TrainConfig, gpus: int, processors: int) -> None:
    """Raises ConfigError if the run is meant for a GPU and torch sees none on this machine."""
    if train.hardware.device == "cuda" and not gpus:
        tokens = train.max_steps * train.global_batch_size * train.sequence_length
        raise ConfigError(
            "train.hardware.device is cuda, but this machine has no NVIDIA GPU, only "
            f"{processors} processors for {tokens:,} tokens; run it where there is a GPU, "
            "take the recipe gpt-tiny, or set train.hardware.device to auto to try it all the same."
        )


def check_positions(model: ModelConfig, train: TrainConfig) -> None:
    """Raises ConfigError if a sequence is longer than the positions that the network knows."""
    if not isinstance(model, DecoderConfig):
        longest = model.max_position_embeddings
        if train.sequence_length > longest:
            raise ConfigError(
                f"train.sequence_length is {train.sequence_length}, but the network knows "
                f"{longest} positions; lower it to {longest}, or raise "
                "model.max_position_embeddings of a new network."
            )


def check_batch(train: TrainConfig, num_processes: int) -> None:
    """Raises ConfigError unless the global batch divides over processes and micro-batches."""
    micro_batch_size = train.hardware.micro_batch_size
    piece = num_processes * micro_batch_size
    sizes = {"global_batch_size": train.global_batch_size}
    if train.batch_size_warmup:
        sizes["batch_size_warmup.initial"] = train.batch_size_warmup.initial
    for name, size in sizes.items():
        if size % piece:
            below = size // piece * piece
            near = [str(each) for each in (below, below + piece) if each]
            raise ConfigError(
                f"train.{name} {size} does not divide into {num_processes} processes x "
                f"train.hardware.micro_batch_size {micro_batch_size}; set it to "
                f"{' or '.join(near)}, or change train.hardware.micro_batch_size."
            )


def check_sequence_length(train: TrainConfig, tokens: Mapping[str, int]) -> None:
    """Raises ConfigError if a split has too few tokens for one sample (`tokens` by split)."""
    for split, count in tokens.items():
        if count <= train.sequence_length:
            raise ConfigError(
                f"train.sequence_length is {train.sequence_length}, but the {split} shard holds "
                f"{count} tokens; set it below {count}, or add text."
            )


def check_mixing(train: TrainConfig, sources: Iterable[str]) -> None:
    """Raises ConfigError if a phase names a source that is not among those of the shards."""
    there = sorted(sources)
    for number, phase in enumerate(train.mixing):
        for name in phase.weights:
            if name not in there:
                raise ConfigError(
                    f"train.mixing.{number}.weights names the source {name!r}; expected one of "
                    f"{', '.join(map(repr, there)) or 'none: these shards name no source'}."
                )
