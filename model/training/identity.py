"""What makes two training runs the same one. Imports no torch."""

from collections.abc import Callable, Mapping
from typing import Any

from corpusmill.model.network.config import Family, ModelConfig
from corpusmill.model.objectives.config import default_objective
from corpusmill.model.training.config import TrainConfig

# Where a run runs and what is written about it.
_CIRCUMSTANCES = (
    "hardware.device",
    "hardware.machines",
    "hardware.parallelism",
    "hardware.activation_checkpointing",
    "hardware.compile",
    "log_every",
    "checkpoint_every",
    "profile_steps",
)


def identity_of(
    train: TrainConfig, family: Family, shape: ModelConfig | None, num_processes: int | None
) -> dict[str, Any]:
    """What decides which model comes out: two runs that agree in it make the same one.

    Args:
        family: of the network.
        shape: of a new network; what only that of an older one would tell counts.
        num_processes: that the run is to have; None leaves them to the machine.
    """
    found = train.on_hardware(num_processes=num_processes).model_dump(mode="json")
    idle = [name for name, acts in _ACTS.items() if not acts(train, family, shape)]
    for name in (*_CIRCUMSTANCES, *idle):
        _drop(found, name)
    objectives = train.objectives or (default_objective(family),)
    single = {"weight"} if len(objectives) == 1 else None
    found["objectives"] = [each.model_dump(mode="json", exclude=single) for each in objectives]
    if shape and family == "masked_lm":
        found["begins"] = "neighbours"  # those of before began as noise
    return found


def check_effect(train: TrainConfig, family: Family, shape: ModelConfig | None) -> None:
    """Raises ValueError if a field is set that says nothing to such a network."""
    for name in _MEANT:
        found = _value(train, name)
        if found not in (None, _value(TrainConfig(), name)) and not _ACTS[name](
            train, family, shape
        ):
            called = shape.architecture if shape else family
            raise ValueError(
                f"train.{name} is {found!r}, which says nothing to a network of {called}; expected "
                "it to be left out"
            )


def _value(train: TrainConfig, name: str) -> Any:
    group, _, field = name.partition(".")
    return getattr(getattr(train, group), field, None)


def _drop(values: dict[str, Any], name: str) -> None:
    """Takes out a field with a dotted name, which another kind of its group may not have."""
    group, _, field = name.rpartition(".")
    owner = values.get(group, {}) if group else values
    owner.pop(field, None)
    if group and not owner:
        values.pop(group, None)


# Whether a field changes the model, after the family and, where it is known, the shape.
_Acts = Callable[[TrainConfig, Family, ModelConfig | None], bool]


def _chosen_by_validation(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.validation.early_stopping is not None


def _drops(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.dropout > 0


def _embeds_apart(_train: TrainConfig, family: Family, shape: ModelConfig | None) -> bool:
    """Whether embeddings are no head, as they are in all encoders."""
    return family != "masked_lm" and not (shape and getattr(shape, "tie_word_embeddings", True))


def _carries_over(train: TrainConfig, _family: Family, shape: ModelConfig | None) -> bool:
    base = train.optimizer.base_hidden_size
    return base is not None and (shape is None or base != shape.hidden_size)


def _masks_documents(_train: TrainConfig, family: Family, shape: ModelConfig | None) -> bool:
    """Pairs of texts are masked as they are."""
    if family == "masked_lm":
        return not getattr(shape, "next_sentence", False)
    return family == "causal_lm"


# Fields that change the model only where this is so.
_ACTS: Mapping[str, _Acts] = {
    "optimizer.embedding_learning_rate": _embeds_apart,
    "optimizer.base_hidden_size": _carries_over,
    "validation.every": _chosen_by_validation,
    "validation.windows": _chosen_by_validation,
    # What is dropped is drawn for a micro-batch at a time, in every process by itself.
    "hardware.micro_batch_size": _drops,
    "hardware.num_processes": _drops,
    "packing.name": lambda _train, family, _shape: family == "causal_lm",
    "packing.document_mask": _masks_documents,
}
# Of these, those that nobody sets without meaning it.
_MEANT = ("packing.name", "packing.document_mask", "optimizer.embedding_learning_rate")
