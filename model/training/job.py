"""What a training process is told and how it ended: jobs in, results out. Imports no torch."""

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from corpusmill.model.hf.families import family_of
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.objectives.config import engines_of
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.identity import identity_of
from corpusmill.model.training.renamed import is_flat, job_in_groups
from corpusmill.storage.artifacts import Spec, folder_digest
from corpusmill.storage.config import Config

# Of a trained model.
FORMAT_VERSION = 7


def model_spec(
    shards: Path,
    tokenizer: Path,
    initialize_from: Path | None,
    model: ModelConfig | None,
    train: TrainConfig,
    num_processes: int,
    *,
    moments: Path | None = None,
) -> Spec:
    """What a model is made from: of all that goes in the bytes count, not what they came of.

    Raises:
        ArtifactError, ModelError: a folder is not what it is taken for.
    """
    inputs = {"shards": folder_digest(shards), "tokenizer": folder_digest(tokenizer)}
    if initialize_from:
        inputs["initialize_from"] = folder_digest(initialize_from)
    if moments:
        inputs["moments"] = folder_digest(moments)
    if model:
        family, shape = model.family, model.model_dump(mode="json")
    else:
        assert initialize_from, "there is neither a shape nor a model to start from"
        family, shape = family_of(initialize_from), None
    config = {"model": shape, "train": identity_of(train, family, model, num_processes)}
    if engines := engines_of(train.objectives):
        config["engines"] = engines
    return Spec("model", FORMAT_VERSION, inputs, config)


def labeller_spec(
    examples: Path,
    initialize_from: Path,
    method: MethodConfig,
    train: TrainConfig,
    num_processes: int,
) -> Spec:
    """What a network that answers with labels is made from, as `model_spec`."""
    inputs = {
        "examples": folder_digest(examples),
        "initialize_from": folder_digest(initialize_from),
    }
    decides = identity_of(train, family_of(initialize_from), None, num_processes)
    for name in ("objectives", "packing"):
        decides.pop(name, None)
    config: dict[str, Any] = {"method": method.model_dump(mode="json"), "train": decides}
    if train.validation.early_stopping:
        config["stops_by"] = "figure"  # those of before stopped by their loss
    return Spec("model", FORMAT_VERSION, inputs, config)


def moments_spec(model: str) -> Spec:
    """What the moments of the run are made from that made the model with this digest."""
    return Spec("moments", 1, {"model": model})


class TrainingJob(Config):
    """What the training process is told: the whole of job.json.

    Attributes:
        digest: identity of the run; its checkpoints carry it.
        directory: the run's working folder (journal, checkpoints, result).
        shards, tokenizer: artifact folders.
        examples, method: of a network that is to answer with labels, in the place of shards.
        initialize_from: folder of a model in the Hugging Face format whose weights a new run
            starts from.
        moments: folder of the moments that the optimizer of that model's run has left, if any.
        num_processes: how many processes must be there.
        model: the network's shape; None takes that of `initialize_from`.
    """

    digest: str
    directory: Path
    shards: Path | None = None
    tokenizer: Path
    examples: Path | None = Field(None, exclude_if=operator.not_)
    method: MethodConfig | None = Field(None, exclude_if=operator.not_)
    initialize_from: Path | None = None
    moments: Path | None = None
    num_processes: PositiveInt
    model: ModelConfig | None
    train: TrainConfig

    @field_validator("train", mode="before")
    @classmethod
    def _in_groups(cls, train: Any) -> Any:
        return job_in_groups(train) if isinstance(train, Mapping) and is_flat(train) else train

    @model_validator(mode="after")
    def _check_origin(self) -> "TrainingJob":
        if (self.model is None) == (self.initialize_from is None):
            raise ValueError("give either model or initialize_from, the other must be null")
        if (self.shards is None) == (self.examples is None):
            raise ValueError("give either shards or examples, the other must be null")
        if self.examples and (self.method is None or self.initialize_from is None):
            raise ValueError("examples need a method, and a model in initialize_from")
        return self

    def spec(self) -> Spec:
        """What decides which model comes out, whatever the job is called and wherever it runs."""
        if self.examples:
            assert self.method and self.initialize_from
            learns = self.examples, self.initialize_from, self.method
            return labeller_spec(*learns, self.train, self.num_processes)
        assert self.shards
        where = self.shards, self.tokenizer, self.initialize_from
        given = self.model, self.train, self.num_processes
        return model_spec(*where, *given, moments=self.moments)


class TrainingResult(Config):
    """How the training process ended: the whole of result.json."""

    status: Literal["finished", "interrupted", "failed"]
    step: int = 0
    tokens_seen: int = 0
    model: Path | None = None
    parameters: int = 0
    seconds: float = 0.0
    error: str | None = None
    input_error: bool = False
