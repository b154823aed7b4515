"""Checkpoints of a run: safetensors and JSON, published like every artifact, verified on load."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from corpusmill.model.finite import first_not_finite
from corpusmill.model.training.adamw import AdamW, Optimizer
from corpusmill.model.training.averaging import WeightAverage
from corpusmill.model.training.muon import Muon
from corpusmill.model.training.optimizer import Optimizers
from corpusmill.model.training.parallel import placed
from corpusmill.storage.artifacts import Spec, publish
from corpusmill.storage.errors import ArtifactError, ConfigError
from corpusmill.storage.manifest import MANIFEST, digest_json, verify
from corpusmill.storage.writing import sweep

_PREFIX = "step-"
_KEPT = 2
# What each optimizer remembers of a parameter.
_REMEMBERED: dict[type[Optimizer], tuple[str, ...]] = {
    Muon: ("momentum",),
    AdamW: ("step", "exp_avg", "exp_avg_sq"),
}
# The files of a checkpoint, and in each of them tensors by name.
Tensors = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Progress:
    """How far a run is; with the seed in its config this is all the state of its data.

    Attributes:
        best_loss: with early stopping, the validation loss of the best weights so far, in nats a
            prediction.
        best_figure: theirs that decides, where they answer with labels and it has a value.
        best_step: the step after which they were validated.
        validations_since: how many have followed it.
    """

    step: int = 0
    tokens_seen: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_figure: float | None = None
    best_step: int = 0
    validations_since: int = 0


def tensors_of(
    network: nn.Module, optimizers: Optimizers, average: WeightAverage | None
) -> dict[str, dict[str, Tensor]]:
    """All tensors that a run goes on from, by file and name; not copied."""
    found = {
        "model.safetensors": {name: p.detach() for name, p in network.named_parameters()},
        "optimizer.safetensors": _optimizer_tensors(network, optimizers),
    }
    if average:
        found["average.safetensors"] = average.tensors(network)
    return found


def diverged(found: str, step: int) -> ConfigError:
    """What a run ends with whose numbers are not finite any more."""
    return ConfigError(
        f"{found} at step {step}; expected finite numbers: lower train.optimizer.learning_rate or "
        "raise train.schedule.warmup_steps, then run again."
    )


def write_checkpoint(folder: Path, model: Spec, progress: Progress, tensors: Tensors) -> Path:
    """Publishes `folder`/step-<n> and, once it verifies, deletes the older ones.

    The one before it stays, and that of the best validation.

    Args:
        folder: the run's checkpoints.
        model: what the run makes, which says that a checkpoint is its own.

    Raises:
        ConfigError: a number is not finite; nothing is published then.
    """
    for file, named in tensors.items():
        if name := first_not_finite(named):
            raise diverged(f"{name} of {file} is not finite", progress.step)
    final = _path(folder, progress.step)
    spec = Spec("checkpoint", 2, model.inputs, {**model.config, "step": progress.step})

    def write(directory: Path) -> None:
        for file, named in tensors.items():
            save_file(dict(named), directory / file)
        (directory / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")

    publish(final, spec, write)
    verify(final)
    best = _path(folder, progress.best_step)
    for old in newest_first(folder)[_KEPT:]:
        if old != best:
            shutil.rmtree(old)
    return final


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that is read and checked, but not yet restored into the network.

    Attributes:
        manifest: digest of its manifest, and so of all its bytes.
    """

    progress: Progress
    manifest: str
    weights: Mapping[str, Tensor]
    states: Sequence[tuple[Optimizer, Tensor, dict[str, Tensor]]]
    averaged: Mapping[str, Tensor]


def read_checkpoint(
    path: Path, network: nn.Module, optimizers: Optimizers, average: WeightAverage | None
) -> Loaded:
    """Reads and checks a checkpoint of such a network.

    Raises:
        ArtifactError: its bytes are not those of its manifest, or cannot be read.
        ValueError, KeyError, TypeError: they are of another network, or not finite.
    """
    try:
        manifest = digest_json(verify(path))
        progress = Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8")))
        weights = load_file(path / "model.safetensors")
        moments = load_file(path / "optimizer.safetensors")
        averaged = load_file(path / "average.safetensors") if average else {}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}).") from error
    for named in (weights, moments, averaged):
        if name := first_not_finite(named):
            raise ValueError(f"{name} is not finite")
    _check_shapes(network, weights)
    states = _read_states(network, optimizers, moments)
    return Loaded(progress, manifest, weights, states, averaged)


def restore(loaded: Loaded, network: nn.Module, average: WeightAverage | None) -> None:
    """Gives a network, its optimizers and its average what was read for them."""
    _fill(network, loaded.weights)
    for owner, parameter, state in loaded.states:
        owner.state[parameter] = state
    if average:
        average.load(network, loaded.averaged)


def load_weights(folder: Path, step: int, network: nn.Module, *, averaged: bool) -> None:
    """The weights of the checkpoint of this step, without what it takes to go on from them.

    Raises:
        ArtifactError: it is not there, or damaged.
    """
    path = _path(folder, step)
    verify(path)
    name = "average.safetensors" if averaged else "model.safetensors"
    _fill(network, load_file(path / name))


def clear_leftovers(folder: Path) -> None:
    """Makes the folder and removes what a killed writer left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)


def newest_first(folder: Path) -> list[Path]:
    """Every complete checkpoint in the folder, whether or not it verifies."""
    complete = [path.parent for path in folder.glob(f"{_PREFIX}*/{MANIFEST}")]
    return sorted((p for p in complete if p.name.removeprefix(_PREFIX).isdigit()), reverse=True)


def _path(folder: Path, step: int) -> Path:
    return folder / f"{_PREFIX}{step:08d}"


def _optimizer_tensors(model: nn.Module, optimizers: Optimizers) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {tensor: name for name, tensor in model.named_parameters()}
    return {
        f"{key}:{names[parameter]}": value
        for parameter, state in optimizers.states()
        for key, value in state.items()
    }


@torch.no_grad()
def _fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(placed(weights[name], parameter))


def _check_shapes(model: nn.Module, weights: dict[str, Tensor]) -> None:
    expected = {name: parameter.shape for name, parameter in model.named_parameters()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise ValueError("its tensors are not those of this model")


def _read_states(
    model: nn.Module, optimizers: Optimizers, tensors: dict[str, Tensor]
) -> list[tuple[Optimizer, Tensor, dict[str, Tensor]]]:
    owners = optimizers.owners()
    states: list[tuple[Optimizer, Tensor, dict[str, Tensor]]] = []
    for name, parameter in model.named_parameters():
        owner = owners[parameter]
        state = {key: tensors[f"{key}:{name}"] for key in _REMEMBERED[type(owner)]}
        for key, value in state.items():
            if value.shape != (() if key == "step" else parameter.shape):
                raise ValueError(f"{key} of {name} does not have its shape")
            state[key] = value.to(parameter.device) if key == "step" else placed(value, parameter)
        states.append((owner, parameter, state))
    return states
