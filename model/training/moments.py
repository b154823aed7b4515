"""What a run leaves to the one that goes on with its model, beside that.

AdamW's second moments, the mean squares of the gradients: a fresh optimizer moves a rare token's
row by as much as a common one's, and so forgets most where a night says least. First moments, and
Muon's momentum, are of the last steps alone and begin anew. And how far the run came beyond its
model, where that is a mean. docs/nights.md has the measurements.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from corpusmill.model.finite import first_not_finite
from corpusmill.model.training.adamw import AdamW
from corpusmill.model.training.optimizer import Optimizers
from corpusmill.model.training.parallel import placed, whole
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.manifest import verify

FILE = "moments.safetensors"
AHEAD = "ahead.safetensors"
# After so many steps the corrections for a beginning at zero are 1.
_SETTLED = 1e6


def moments_of(network: nn.Module, optimizers: Optimizers) -> dict[str, Tensor]:
    """The second moments of each parameter that AdamW moves, corrected for their beginning at zero
    (Kingma and Ba 2015, section 3), in bf16; every process must ask for them.
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    found: dict[str, Tensor] = {}
    for optimizer in optimizers.each:
        if not isinstance(optimizer, AdamW):
            continue
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = optimizer.state.get(parameter)
                if state:
                    settled = 1 - group["betas"][1] ** float(state["step"])
                    mean = whole(state["exp_avg_sq"]) / settled
                    found[names[parameter]] = mean.to(torch.bfloat16).cpu().contiguous()
    return found


def write_moments(directory: Path, moments: dict[str, Tensor], ahead: dict[str, Tensor]) -> None:
    """Writes them as files of the folder.

    Args:
        ahead: how far the run came beyond its model, where that is a mean; else empty.
    """
    save_file(moments, directory / FILE)
    if ahead:
        save_file(ahead, directory / AHEAD)


def take_over(folder: Path, network: nn.Module, optimizers: Optimizers) -> None:
    """Has AdamW begin with the second moments that an earlier run has left.

    Raises:
        ArtifactError: they are damaged, or of another network.
    """
    moments = _read(folder, FILE)
    names = {parameter: name for name, parameter in network.named_parameters()}
    for optimizer in optimizers.each:
        if not isinstance(optimizer, AdamW):
            continue
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                second = moments.get(names[parameter])
                if second is None:  # moved by another optimizer before
                    continue
                if second.shape != parameter.shape:
                    raise _unfit(folder, f"there is no {names[parameter]} of its shape")
                optimizer.state[parameter] = {
                    "step": torch.tensor(_SETTLED, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": placed(second.to(torch.float32), parameter),
                }


@torch.no_grad()
def go_ahead(folder: Path, network: nn.Module) -> None:
    """Has a network with the weights of a model go to where the run came to that has made it.

    Raises:
        ArtifactError: what that has left is damaged, or of another network.
    """
    if not (folder / AHEAD).exists():
        return
    ahead = _read(folder, AHEAD)
    for name, parameter in network.named_parameters():
        if name not in ahead or ahead[name].shape != parameter.shape:
            raise _unfit(folder, f"there is no {name} of its shape")
        parameter.add_(placed(ahead[name].to(parameter.dtype), parameter))


def _read(folder: Path, file: str) -> dict[str, Tensor]:
    verify(folder)
    try:
        found = load_file(folder / file)
    except (OSError, SafetensorError) as error:
        raise _unfit(folder, error) from error
    if name := first_not_finite(found):
        raise _unfit(folder, f"{name} is not finite")
    return found


def _unfit(folder: Path, found: object) -> ArtifactError:
    return ArtifactError(
        f"{folder} does not hold the moments of this network ({found}); remove it, and the run "
        "begins without."
    )
