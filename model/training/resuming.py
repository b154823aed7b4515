"""Which checkpoint a run goes on from: the main process chooses, and all load that one or none.

Processes may see different files, on machines that share a store above all: what one of them
cannot read, none of them goes on from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from corpusmill.model.training.averaging import WeightAverage
from corpusmill.model.training.checkpoint import (
    Loaded,
    Progress,
    newest_first,
    read_checkpoint,
    restore,
)
from corpusmill.model.training.optimizer import Optimizers
from corpusmill.model.training.ranks import from_main, of_all
from corpusmill.model.training.renamed import in_groups, is_flat
from corpusmill.storage.artifacts import Spec
from corpusmill.storage.errors import ArtifactError, ConfigError
from corpusmill.storage.manifest import read_manifest


def check_origin(folder: Path, model: Spec) -> None:
    """Raises ConfigError if a checkpoint was made on the way to another model than this."""
    expected = _flat({**model.inputs, **model.config})
    for path in newest_first(folder):
        try:
            manifest = read_manifest(path)
        except ArtifactError:
            continue
        made = {**manifest["inputs"], **manifest["config"]}
        if is_flat(made["train"]):
            made["train"] = in_groups(made["train"])
        found = _flat(made)
        found.pop("step", None)
        for name in sorted(found.keys() | expected.keys()):
            here, there = expected.get(name), found.get(name)
            if here != there:
                raise ConfigError(
                    f"{path} was made with {name} {there}, but job.json has {here}; give that "
                    "back, or make a run of its own in another folder."
                )


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What is in it by dotted names."""
    found: dict[str, Any] = {}
    for name, each in value.items():
        inner = isinstance(each, Mapping)
        found |= _flat(each, f"{prefix}{name}.") if inner else {prefix + name: each}
    return found


def load_newest(
    folder: Path, network: nn.Module, optimizers: Optimizers, average: WeightAverage | None
) -> tuple[Progress | None, list[tuple[Path, str]]]:
    """Loads the newest checkpoint that every process reads, and reads alike.

    Returns:
        Its progress (None where there is none), and each one that was refused with the reason.

    Raises:
        ArtifactError: there are good ones, but another process can read none of them.
    """
    refused: list[tuple[Path, str]] = []
    unshared: str | None = None
    for name in from_main([path.name for path in newest_first(folder)]):
        found = _read(folder / name, network, optimizers, average)
        every = of_all(
            {"manifest": found.manifest} if isinstance(found, Loaded) else {"refusal": found}
        )
        reason = _reason(every)
        if isinstance(found, Loaded) and reason is None:
            restore(found, network, average)
            return found.progress, refused
        assert reason is not None
        refused.append((folder / name, reason))
        if "refusal" not in every[0]:
            unshared = unshared or f"{name}: {reason}"
    if unshared:
        raise ArtifactError(
            f"{folder} holds checkpoints that the main process reads, but none that all processes "
            f"do ({unshared}); mend what that process sees of the store, then run again."
        )
    return None, refused


def _read(
    path: Path, network: nn.Module, optimizers: Optimizers, average: WeightAverage | None
) -> Loaded | str:
    """What it holds, or why this process refuses it."""
    try:
        return read_checkpoint(path, network, optimizers, average)
    except (ArtifactError, ValueError, TypeError, KeyError) as bad:
        return str(bad)


def _reason(every: list[dict[str, str]]) -> str | None:
    """Why a checkpoint is refused, after what each process has read; None where all read one."""
    for rank, read in enumerate(every):
        by = f"process {rank}: " if rank else ""
        if "refusal" in read:
            return by + read["refusal"]
        if read != every[0]:
            return f"{by}its bytes are not those that the main process reads"
    return None
