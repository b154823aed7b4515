"""How a network is trained, and what a run refuses before it begins. Imports no torch."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from model.network.config import DecoderConfig, ModelConfig
from model.objectives.config import Objective
from storage.config import Config, Seed
from storage.errors import ConfigError
from storage.settings import Precision

MIXING_BLOCK = 4096  # samples after which every source has been drawn from as its weight says


class MixingPhase(Config):
    """How sources are mixed in one part of a run.

    Attributes:
        until: fraction of the run at which this phase ends.
        weights: by source, in proportion to the samples drawn from it; others are not read.
    """

    until: float = Field(1.0, gt=0, le=1)
    weights: dict[str, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_weights(self) -> "MixingPhase":
        total = sum(self.weights.values())
        for name, weight in self.weights.items():
            if weight < 0 or 0 < weight < total / MIXING_BLOCK or not 0 < total < float("inf"):
                raise ValueError(
                    f"the weight {weight} of {name!r} is not a share of {total}; expected 0, or at "
                    f"least 1/{MIXING_BLOCK} of the sum"
                )
        return self


class TrainConfig(Config):
    """How long, how fast and in what pieces the network learns.

    Attributes:
        sequence_length: tokens a sample predicts.
        objectives: what is learned; none for what the model's family is made for.
        packing: windows cut the stream of tokens at equal distances; best_fit fills each sample
            with whole documents, which attention does not leave.
        document_mask: attention does not leave a document in windows either.
        mixing: phases in which sources are drawn from by weight; none for all text once an epoch.
        initial_sequence_length, sequence_length_warmup_steps: samples are cut into pieces of this
            length at first, which doubles at equal distances over these steps.
        global_batch_size: sequences an optimizer step, over all processes.
        initial_batch_size, batch_warmup_steps: the global batch at first, which doubles at equal
            distances over these steps.
        micro_batch_size: sequences a device holds at once; halved where they do not fit, unless
            there is dropout, which is drawn for as many at a time.
        max_steps: optimizer steps in the whole run.
        optimizer: muon moves matrices by Muon and the rest by AdamW; adamw moves everything.
        learning_rate: of matrices; the optimizer's usual multiples of it serve the rest.
        embedding_learning_rate, head_learning_rate: where they are not such a multiple.
        base_hidden_size: width at which the rates were found, from which they are carried over to
            this network's (Yang et al. 2022); None takes them as they are. Under adamw they have
            to be those of a network with a head tied, or untied, as this one's.
        schedule: what follows the warm-up: wsd is constant, then linear to zero; cosine falls to
            zero over the whole run; inverse_sqrt falls for ever.
        warmup_steps: steps of linear rise to `learning_rate`.
        decay_fraction: share of a wsd run, at its end, in which the rate falls.
        momentum, newton_schulz_steps: of Muon; five steps where a batch is large beside the width.
        adam_beta1, adam_beta2, adam_epsilon: of AdamW.
        max_grad_norm: the gradient is cut down to this length; None leaves it as it is.
        dropout: share of the embeddings' and of every layer's outputs that is dropped.
        label_smoothing: share of the target that is spread evenly over the vocabulary.
        weight_average: the mean of the weights that is validated and exported: ema decays
            exponentially, checkpoints is that of the last ones; None takes the last weights.
        ema_decay: of ema, a step.
        averaged_checkpoints, averaged_every: how many, and steps between them.
        early_stopping: end after this many validations in a row without a lower loss, and export
            the best weights; None trains to the end.
        device: cuda refuses to run without a GPU.
        num_processes: on all machines together; None for every GPU of each, or 2 processes on a
            CPU with 2 cores or more.
        num_machines: that share the store's folder; this one is the first, and the log says what
            to start on the others.
        main_process_ip, main_process_port: where the others find this one.
        parallelism: ddp holds the whole network in every process, fsdp a shard of it.
        activation_checkpointing: compute what is between the layers' inputs again in the backward
            pass, a third more work for a fraction of the memory.
        compile: auto compiles where the run is long enough to win the time back.
        precision: of matrix products; auto is what CORPUSMILL_PRECISION says, and without it bf16
            where the hardware multiplies it natively, else fp32.
        log_every, validate_every, checkpoint_every: in optimizer steps.
        profile_steps: optimizer steps that are traced, after the first ten.
        validation_windows: held-out windows scored while training.
    """

    sequence_length: PositiveInt = 256
    objectives: tuple[Objective, ...] = ()
    packing: Literal["windows", "best_fit"] = "windows"
    document_mask: bool = False
    mixing: tuple[MixingPhase, ...] = ()
    initial_sequence_length: PositiveInt | None = None
    sequence_length_warmup_steps: int = Field(0, ge=0)
    global_batch_size: PositiveInt = 8
    initial_batch_size: PositiveInt | None = None
    batch_warmup_steps: int = Field(0, ge=0)
    micro_batch_size: PositiveInt = 4
    max_steps: PositiveInt = 1400
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = Field(0.03, gt=0)
    embedding_learning_rate: float | None = Field(None, gt=0)
    head_learning_rate: float | None = Field(None, gt=0)
    base_hidden_size: PositiveInt | None = None
    schedule: Literal["wsd", "cosine", "inverse_sqrt"] = "wsd"
    warmup_steps: int = Field(0, ge=0)
    decay_fraction: float = Field(0.6, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    newton_schulz_steps: int = Field(3, ge=1, le=5)
    adam_beta1: float = Field(0.8, ge=0, lt=1)
    adam_beta2: float = Field(0.95, ge=0, lt=1)
    adam_epsilon: float = Field(1e-10, gt=0)
    max_grad_norm: float | None = Field(None, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    weight_average: Literal["ema", "checkpoints"] | None = None
    ema_decay: float = Field(0.99, gt=0, lt=1)
    averaged_checkpoints: PositiveInt = 5
    averaged_every: PositiveInt = 10
    early_stopping: PositiveInt | None = None
    compile: Literal["auto", "always", "never"] = "auto"
    precision: Precision = "auto"
    device: Literal["auto", "cuda"] = "auto"
    num_processes: PositiveInt | None = None
    num_machines: PositiveInt = 1
    main_process_ip: str | None = None
    main_process_port: int | None = Field(None, ge=1, le=65535)
    parallelism: Literal["ddp", "fsdp"] = "ddp"
    activation_checkpointing: bool = False
    seed: Seed = 0
    log_every: PositiveInt = 10
    validate_every: PositiveInt = 100
    validation_windows: PositiveInt = 64
    checkpoint_every: PositiveInt = 100
    profile_steps: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_schedule(self) -> "TrainConfig":
        if self.warmup_steps >= self.max_steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} leaves nothing of max_steps {self.max_steps}"
            )
        return self

    @model_validator(mode="after")
    def _check_warm_ups(self) -> "TrainConfig":
        for name, first, last, steps in (
            ("batch", self.initial_batch_size, self.global_batch_size, self.batch_warmup_steps),
            (
                "sequence_length",
                self.initial_sequence_length,
                self.sequence_length,
                self.sequence_length_warmup_steps,
            ),
        ):
            if (first is None) != (steps == 0):
                raise ValueError(
                    f"{name}_warmup_steps is {steps} and its initial size {first}; give both or "
                    "neither"
                )
            if first and (last % first or (last // first).bit_count() != 1 or last == first):
                raise ValueError(
                    f"the initial {name} {first} does not grow to {last} by doubling; expected "
                    f"{last} divided by 2, 4, 8 or so on"
                )
        return self

    @model_validator(mode="after")
    def _check_machines(self) -> "TrainConfig":
        if self.num_machines > 1 and not (self.main_process_ip and self.main_process_port):
            raise ValueError(
                f"num_machines is {self.num_machines}, but main_process_ip is "
                f"{self.main_process_ip} and main_process_port {self.main_process_port}; give the "
                "address of this machine and a free port, at which the others find it"
            )
        if self.num_processes and self.num_processes % self.num_machines:
            raise ValueError(
                f"num_processes {self.num_processes} does not divide over num_machines "
                f"{self.num_machines}"
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
        if joined and (self.packing != "windows" or self.document_mask):
            raise ValueError(
                f"objectives {', '.join(names)} are read in windows; set packing to windows and "
                "document_mask to false"
            )
        if self.initial_sequence_length and names and names != ["next_token"]:
            raise ValueError(
                f"initial_sequence_length cuts samples of next_token, not of {', '.join(names)}"
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


def check_device(train: TrainConfig, gpus: int, processors: int) -> None:
    """Raises ConfigError if the run is meant for a GPU and torch sees none on this machine."""
    if train.device == "cuda" and not gpus:
        tokens = train.max_steps * train.global_batch_size * train.sequence_length
        raise ConfigError(
            "train.device is cuda, but this machine has no NVIDIA GPU, only "
            f"{processors} processors for {tokens:,} tokens; run it where there is a GPU, "
            "take the recipe gpt-tiny, or set train.device to auto to try it all the same."
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
    piece = num_processes * train.micro_batch_size
    for name in ("global_batch_size", "initial_batch_size"):
        size = getattr(train, name)
        if size and size % piece:
            below = size // piece * piece
            near = [str(each) for each in (below, below + piece) if each]
            raise ConfigError(
                f"train.{name} {size} does not divide into {num_processes} processes x "
                f"train.micro_batch_size {train.micro_batch_size}; set it to "
                f"{' or '.join(near)}, or change train.micro_batch_size."
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
