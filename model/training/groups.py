"""The groups of a TrainConfig, each by the part of training that owns it. Imports no torch.

Where there are several kinds of one, `name` says which it is, and a kind has the fields that it
reads and no others.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from corpusmill.storage.config import Config
from corpusmill.storage.settings import Precision


class _OptimizerConfig(Config):
    """What all optimizers have.

    Attributes:
        learning_rate: of matrices; the optimizer's usual multiples of it serve the rest.
        embedding_learning_rate, head_learning_rate: where they are not such a multiple.
        base_hidden_size: width at which the rates were found, from which they are carried over to
            this network's (Yang et al. 2022); None takes them as they are. Under adamw they have
            to be those of a network with a head tied, or untied, as this one's.
        adam_beta1, adam_beta2, adam_epsilon: of AdamW, which moves what muon does not, too.
        max_grad_norm: the gradient is cut down to this length; None leaves it as it is.
    """

    learning_rate: float = Field(gt=0)
    embedding_learning_rate: float | None = Field(None, gt=0)
    head_learning_rate: float | None = Field(None, gt=0)
    base_hidden_size: PositiveInt | None = None
    weight_decay: float = Field(0.1, ge=0)
    adam_beta1: float = Field(0.8, ge=0, lt=1)
    adam_beta2: float = Field(0.95, ge=0, lt=1)
    adam_epsilon: float = Field(1e-10, gt=0)
    max_grad_norm: float | None = Field(None, gt=0)


class MuonConfig(_OptimizerConfig):
    """Matrices are moved by Muon, the rest by AdamW.

    Attributes:
        newton_schulz_steps: five where a batch is large beside the width.
    """

    name: Literal["muon"] = "muon"
    learning_rate: float = Field(0.03, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    newton_schulz_steps: int = Field(3, ge=1, le=5)


class AdamWConfig(_OptimizerConfig):
    """Everything is moved by AdamW.

    Attributes:
        layer_decay: factor of the rates from each layer to the one below it; see
            `corpusmill.model.training.depth`. Muon has none: its steps are orthogonal, and we know
            of nobody who fine-tunes with it.
    """

    name: Literal["adamw"] = "adamw"
    learning_rate: float = Field(0.0015, gt=0)
    max_grad_norm: float | None = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1, exclude_if=lambda decay: decay == 1)


Optimizer = Annotated[MuonConfig | AdamWConfig, Field(discriminator="name")]


class _ScheduleConfig(Config):
    """Attributes:
    warmup_steps: of linear rise to the learning rate.
    """

    warmup_steps: int = Field(0, ge=0)


class WSDSchedule(_ScheduleConfig):
    """Constant, then linear to zero.

    Attributes:
        decay_fraction: share of the run, at its end, in which the rate falls.
    """

    name: Literal["wsd"] = "wsd"
    decay_fraction: float = Field(0.6, ge=0, le=1)


class CosineSchedule(_ScheduleConfig):
    """Falls to zero over the whole run."""

    name: Literal["cosine"] = "cosine"


class InverseSqrtSchedule(_ScheduleConfig):
    """Falls for ever."""

    name: Literal["inverse_sqrt"] = "inverse_sqrt"


Schedule = Annotated[
    WSDSchedule | CosineSchedule | InverseSqrtSchedule, Field(discriminator="name")
]


class EMAConfig(Config):
    """The mean decays exponentially.

    Attributes:
        decay: a step.
    """

    name: Literal["ema"] = "ema"
    decay: float = Field(0.99, gt=0, lt=1)


class CheckpointAverageConfig(Config):
    """The mean is that of the last weights.

    Attributes:
        checkpoints: how many of them.
        every: steps between them.
    """

    name: Literal["checkpoints"] = "checkpoints"
    checkpoints: PositiveInt = 5
    every: PositiveInt = 10


class LineMeanConfig(Config):
    """The mean is one over the runs of a line, each of which begins where the one before has ended.

    A run goes on from the last weights of that before it, and exports the mean of its own last ones
    and of the model that that one exported.

    Attributes:
        share: of its own last weights.
    """

    name: Literal["line"] = "line"
    share: float = Field(0.2, gt=0, le=1)


Average = Annotated[
    EMAConfig | CheckpointAverageConfig | LineMeanConfig, Field(discriminator="name")
]


class WindowPacking(Config):
    """Windows cut the stream of tokens at equal distances.

    Attributes:
        document_mask: attention does not leave a document.
    """

    name: Literal["windows"] = "windows"
    document_mask: bool = False


class BestFitPacking(Config):
    """Each sample is filled with whole documents, which attention does not leave."""

    name: Literal["best_fit"] = "best_fit"


Packing = Annotated[WindowPacking | BestFitPacking, Field(discriminator="name")]


class SizeWarmUp(Config):
    """A batch or sequence that begins smaller and doubles at equal distances.

    Attributes:
        initial: its size at first.
        steps: after which it has its whole size.
    """

    initial: PositiveInt
    steps: PositiveInt


class ValidationConfig(Config):
    """Held-out loss while training, and of labels the figure that decides.

    Attributes:
        every: optimizer steps.
        windows: held-out windows that are scored.
        early_stopping: end after this many validations in a row that were not better, and export
            the best weights; None trains to the end. Better is a lower loss; of a network that
            answers with labels a higher figure of the task (accuracy, Spearman's correlation, the
            micro-averaged F1), and of equals the one with the lower loss.
    """

    every: PositiveInt = 100
    windows: PositiveInt = 64
    early_stopping: PositiveInt | None = None


class MachinesConfig(Config):
    """Several machines that share the store's folder.

    Attributes:
        num_machines: this one is the first, and the log says what to start on the others.
        main_process_ip, main_process_port: where the others find this one.
    """

    num_machines: int = Field(ge=2)
    main_process_ip: str
    main_process_port: int = Field(ge=1, le=65535)


class HardwareConfig(Config):
    """Where a run runs. It changes no model, but for precision and, under dropout, the number of
    processes and what each of them draws for at once.

    Attributes:
        device: cuda refuses to run without a GPU.
        precision: of matrix products; auto is what CORPUSMILL_PRECISION says, and without it bf16
            where the hardware multiplies it natively, else fp32.
        micro_batch_size: sequences a device holds at once; halved where they do not fit, unless
            there is dropout, which is drawn for as many at a time.
        num_processes: on all machines together; None for every GPU of each, or 2 processes on a
            CPU with 2 cores or more.
        machines: None for this one alone.
        parallelism: ddp holds the whole network in every process, fsdp a shard of it.
        activation_checkpointing: compute what is between the layers' inputs again in the backward
            pass, a third more work for a fraction of the memory.
        compile: auto compiles where the run is long enough to win the time back.
    """

    device: Literal["auto", "cuda"] = "auto"
    precision: Precision = "auto"
    micro_batch_size: PositiveInt = 4
    num_processes: PositiveInt | None = None
    machines: MachinesConfig | None = None
    parallelism: Literal["ddp", "fsdp"] = "ddp"
    activation_checkpointing: bool = False
    compile: Literal["auto", "always", "never"] = "auto"

    @property
    def num_machines(self) -> int:
        """On which the run runs."""
        return self.machines.num_machines if self.machines else 1

    @model_validator(mode="after")
    def _check_machines(self) -> "HardwareConfig":
        if self.num_processes and self.num_processes % self.num_machines:
            raise ValueError(
                f"num_processes {self.num_processes} does not divide over num_machines "
                f"{self.num_machines}"
            )
        return self
