"""What makes two training runs the same one. Imports no torch."""

from collections.abc import Callable, Mapping
from typing import Any

from model.network.config import Family, ModelConfig
from model.objectives.config import default_objective
from model.training.config import TrainConfig

# Where a run runs and what is written about it.
_CIRCUMSTANCES = {
    "device",
    "num_machines",
    "main_process_ip",
    "main_process_port",
    "parallelism",
    "activation_checkpointing",
    "compile",
    "log_every",
    "checkpoint_every",
    "profile_steps",
}


def identity_of(
    train: TrainConfig, family: Family, shape: ModelConfig | None, num_processes: int
) -> dict[str, Any]:
    """What decides which model comes out: two runs that agree in it make the same one.

    Args:
        family: of the network.
        shape: of a new network; what only that of an older one would tell counts.
        num_processes: that the run is to have.
    """
    idle = {name for name, acts in _ACTS.items() if not acts(train, family, shape)}
    found = train.model_dump(mode="json", exclude=_CIRCUMSTANCES | idle)
    if "num_processes" in found:
        found["num_processes"] = num_processes
    objectives = train.objectives or (default_objective(family),)
    single = {"weight"} if len(objectives) == 1 else None
    found["objectives"] = [each.model_dump(mode="json", exclude=single) for each in objectives]
    return found


# Whether a field changes the model, after the family and, where it is known, the shape.
_Acts = Callable[[TrainConfig, Family, ModelConfig | None], bool]


def _by_muon(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.optimizer == "muon"


def _over_checkpoints(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.weight_average == "checkpoints"


def _chosen_by_validation(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.early_stopping is not None


def _drops(train: TrainConfig, _family: Family, _shape: ModelConfig | None) -> bool:
    return train.dropout > 0


def _embeds_apart(_train: TrainConfig, family: Family, shape: ModelConfig | None) -> bool:
    """Whether embeddings are no head, as they are in all encoders."""
    return family != "masked_lm" and not (shape and getattr(shape, "tie_word_embeddings", True))


def _carries_over(train: TrainConfig, _family: Family, shape: ModelConfig | None) -> bool:
    base = train.base_hidden_size
    return base is not None and (shape is None or base != shape.hidden_size)


def _masks_documents(train: TrainConfig, family: Family, shape: ModelConfig | None) -> bool:
    """Samples of whole documents, and pairs of texts, are masked as they are."""
    if family == "causal_lm":
        return train.packing == "windows"
    return family == "masked_lm" and not getattr(shape, "next_sentence", False)


# Fields that change the model only where this is so.
_ACTS: Mapping[str, _Acts] = {
    "momentum": _by_muon,
    "newton_schulz_steps": _by_muon,
    "embedding_learning_rate": _embeds_apart,
    "base_hidden_size": _carries_over,
    "decay_fraction": lambda train, *_: train.schedule == "wsd",
    "ema_decay": lambda train, *_: train.weight_average == "ema",
    "averaged_checkpoints": _over_checkpoints,
    "averaged_every": _over_checkpoints,
    "validate_every": _chosen_by_validation,
    "validation_windows": _chosen_by_validation,
    # What is dropped is drawn for a micro-batch at a time, in every process by itself.
    "micro_batch_size": _drops,
    "num_processes": _drops,
    "packing": lambda _train, family, _shape: family == "causal_lm",
    "document_mask": _masks_documents,
}
