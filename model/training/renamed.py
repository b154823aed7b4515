"""What fields of TrainConfig were called before they were grouped, and what they are called now.

A job that was written then, and the checkpoints that it has left, are still read. Imports no torch.
"""

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "packing": "packing.name",
    "document_mask": "packing.document_mask",
    "initial_batch_size": "batch_size_warmup.initial",
    "batch_warmup_steps": "batch_size_warmup.steps",
    "initial_sequence_length": "sequence_length_warmup.initial",
    "sequence_length_warmup_steps": "sequence_length_warmup.steps",
    "optimizer": "optimizer.name",
    "learning_rate": "optimizer.learning_rate",
    "embedding_learning_rate": "optimizer.embedding_learning_rate",
    "head_learning_rate": "optimizer.head_learning_rate",
    "base_hidden_size": "optimizer.base_hidden_size",
    "weight_decay": "optimizer.weight_decay",
    "momentum": "optimizer.momentum",
    "newton_schulz_steps": "optimizer.newton_schulz_steps",
    "adam_beta1": "optimizer.adam_beta1",
    "adam_beta2": "optimizer.adam_beta2",
    "adam_epsilon": "optimizer.adam_epsilon",
    "max_grad_norm": "optimizer.max_grad_norm",
    "schedule": "schedule.name",
    "warmup_steps": "schedule.warmup_steps",
    "decay_fraction": "schedule.decay_fraction",
    "weight_average": "average.name",
    "ema_decay": "average.decay",
    "averaged_checkpoints": "average.checkpoints",
    "averaged_every": "average.every",
    "validate_every": "validation.every",
    "validation_windows": "validation.windows",
    "early_stopping": "validation.early_stopping",
    "device": "hardware.device",
    "precision": "hardware.precision",
    "micro_batch_size": "hardware.micro_batch_size",
    "num_processes": "hardware.num_processes",
    "num_machines": "hardware.machines.num_machines",
    "main_process_ip": "hardware.machines.main_process_ip",
    "main_process_port": "hardware.machines.main_process_port",
    "parallelism": "hardware.parallelism",
    "activation_checkpointing": "hardware.activation_checkpointing",
    "compile": "hardware.compile",
}
# What a job that leaves them out meant by it, where that is not what it means today.
_LEFT_OUT = {
    "optimizer": "muon",
    "learning_rate": 0.03,
    "max_grad_norm": None,
    "schedule": "wsd",
    "packing": "windows",
}
# Fields that had an effect only where another one had this value.
_UNDER: Mapping[str, tuple[str, str]] = {
    "momentum": ("optimizer", "muon"),
    "newton_schulz_steps": ("optimizer", "muon"),
    "decay_fraction": ("schedule", "wsd"),
    "ema_decay": ("weight_average", "ema"),
    "averaged_checkpoints": ("weight_average", "checkpoints"),
    "averaged_every": ("weight_average", "checkpoints"),
    "document_mask": ("packing", "windows"),
}
# Fields without which their group is not there, and the value that says so.
_ABSENT = {
    "weight_average": None,
    "initial_batch_size": None,
    "initial_sequence_length": None,
    "num_machines": 1,
}


def is_flat(train: Mapping[str, Any]) -> bool:
    """Whether a training config, or the part of it in an identity, was written ungrouped."""
    return any(name in RENAMED and not isinstance(value, Mapping) for name, value in train.items())


def job_in_groups(train: Mapping[str, Any]) -> dict[str, Any]:
    """The training config of a job that was written ungrouped, in groups."""
    return in_groups({**_LEFT_OUT, **train})


def in_groups(train: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that were written ungrouped, in groups; those without an effect are gone."""
    absent = {
        RENAMED[name].rpartition(".")[0]
        for name, value in _ABSENT.items()
        if train.get(name, value) == value
    }
    found: dict[str, Any] = {}
    for name, value in train.items():
        choice, wanted = _UNDER.get(name, ("", None))
        if choice in train and train[choice] != wanted:
            continue
        today = RENAMED.get(name, name)
        group = today.rpartition(".")[0]
        _put(found, *((group, None) if group in absent else (today, value)))
    return found


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, field = name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[field] = value
