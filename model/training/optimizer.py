"""The optimizers of a run: Muon for matrices with AdamW for the rest, or AdamW for everything."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn

from corpusmill.model.network.base import Network
from corpusmill.model.network.roles import Kind, with_roles
from corpusmill.model.training.adamw import AdamW, Optimizer
from corpusmill.model.training.depth import rate_shares
from corpusmill.model.training.groups import AdamWConfig, MuonConfig
from corpusmill.model.training.groups import Optimizer as OptimizerConfig
from corpusmill.model.training.muon import Muon
from corpusmill.model.training.parallel import whole

# Rates by group, as multiples of the learning rate. With Muon that rate is the spectral norm of
# a change to a matrix, which says nothing about the others: AdamW moves each number by its rate.
_MULTIPLES: Mapping[str, Mapping[Kind, float]] = {
    "muon": {
        "matrices": 1.0,
        "embeddings": 5.0,
        # Slower, or what they begin with is gone in some twenty steps.
        "positions": 0.02,
        "head": 1 / 3,
        "gains": 2 / 15,
        "head_gain": 2 / 15,
    },
    "adamw": dict.fromkeys(get_args(Kind), 1.0),
}

_NEVER_DECAY: Set[Kind] = {"gains", "head_gain"}


@dataclass(frozen=True)
class Optimizers:
    """What moves the parameters, each by one of them."""

    each: tuple[Optimizer, ...]

    def step(self, rate_factor: float) -> None:
        """One step of all of them at this share of their rates; gradients are gone after it."""
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * rate_factor
            optimizer.step()
            optimizer.forget_gradients()

    def states(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Every parameter that has moved, with what its optimizer remembers of it."""
        for optimizer in self.each:
            yield from optimizer.state.items()

    def owners(self) -> dict[Tensor, Optimizer]:
        """Every parameter with the optimizer that moves it."""
        return {
            parameter: optimizer
            for optimizer in self.each
            for group in optimizer.param_groups
            for parameter in group["params"]
        }


def kinds(model: Network) -> dict[Kind, list[Tensor]]:
    """Parameters that learn, by the kind that the modules which own them declare.

    A head that is tied to the embeddings counts as the head, and so do segments that are added to
    them: all of these begin as small. The gain before it is of a kind of its own.
    """
    found: dict[Kind, list[Tensor]] = {kind: [] for kind in _MULTIPLES["muon"]}
    tied_gain = model.tied_gain
    for parameter, role in with_roles(model):
        kind = "head_gain" if parameter is tied_gain else role.kind
        if parameter.requires_grad:
            found[kind].append(parameter)
    return {kind: parameters for kind, parameters in found.items() if parameters}


def build_optimizers(model: Network, config: OptimizerConfig) -> Optimizers:
    """The optimizers that the config asks for.

    Gains never decay; with Muon only matrices do.

    With `base_hidden_size` AdamW's rates of matrices and head shrink as base/width, which with
    this initialisation (variance 1/fan_in inside, zero outputs and head) is the maximal-update
    parametrisation (Yang et al. 2022, table 8). Muon's rate of matrices needs no such factor. A
    tied head begins and moves as embeddings do, and what shrinks is the gain before it, as in the
    authors' MuSharedReadout. From an untied network to a tied one AdamW's rate is not carried over:
    it moves embeddings that begin at 0.02 by as much as others that begin at 1.
    """
    by_kind = kinds(model)
    each: list[Optimizer] = []
    if isinstance(config, MuonConfig) and "matrices" in by_kind:
        matrices = by_kind.pop("matrices")
        muon = Muon(
            matrices,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            steps=config.newton_schulz_steps,
            dtype=model.compute_dtype,
        )
        each.append(muon)
    shares = rate_shares(model, config.layer_decay if isinstance(config, AdamWConfig) else 1.0)
    groups = []
    for kind, every in by_kind.items():
        decays = config.name == "adamw" and kind not in _NEVER_DECAY
        decay = config.weight_decay if decays else 0.0
        for share, parameters in _by_share(every, shares).items():
            rate = _rate(kind, share, model, config)
            groups.append({"params": parameters, "lr": rate, "weight_decay": decay})
    betas = config.adam_beta1, config.adam_beta2
    each.append(AdamW(groups, betas=betas, eps=config.adam_epsilon))
    for optimizer in each:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return Optimizers(tuple(each))


def _by_share(
    parameters: Sequence[Tensor], shares: Mapping[Tensor, float]
) -> Mapping[float, list[Tensor]]:
    """The parameters by the share of their rate that their depth leaves them."""
    found: dict[float, list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        found[shares[parameter]].append(parameter)
    return found


def _rate(kind: Kind, share: float, model: Network, config: OptimizerConfig) -> float:
    """The full rate of parameters of a kind to which their depth leaves this share of it."""
    set_by_hand: Mapping[Kind, float | None] = {
        "embeddings": config.embedding_learning_rate,
        "head": config.head_learning_rate,
    }
    # Embeddings that are the head too are the lowest layer where rates fall with depth.
    given = None if kind == "head" and share < 1 else set_by_hand.get(kind)
    rate = given or config.learning_rate * _multiple(kind, model, config)
    return rate * _carried_over(kind, model, config) * share


def _multiple(kind: Kind, model: Network, config: OptimizerConfig) -> float:
    """The kind's share of the learning rate."""
    multiple = _MULTIPLES[config.name][kind]
    if config.name == "muon" and kind == "head" and model.tied_gain is not None:
        # The rate is one for embeddings that begin at 0.02; the gain before them is smaller by as
        # much as they are larger.
        return multiple * model.embedding_std(model.config.hidden_size) / 0.02
    return multiple


def remembered(model: Network, config: OptimizerConfig) -> Iterator[Tensor]:
    """Parameters, each once for every state tensor that its optimizer keeps: Muon 1, AdamW 2."""
    for kind, parameters in kinds(model).items():
        by_muon = config.name == "muon" and kind == "matrices"
        yield from parameters if by_muon else 2 * parameters


def _carried_over(kind: Kind, model: Network, config: OptimizerConfig) -> float:
    """Factor of AdamW's rate at this width."""
    base, width = config.base_hidden_size, model.config.hidden_size
    if base is None or kind == "gains":
        return 1.0
    begins = model.embedding_std(width) / model.embedding_std(base)
    if kind == "head" and model.tied_gain is not None:
        return 1.0 if config.name == "muon" else begins
    return {"embeddings": begins, "head_gain": base / width / begins}.get(kind, base / width)


def gradient_norm(model: nn.Module, config: OptimizerConfig) -> Tensor:
    """Length of the whole gradient, which is cut down to `max_grad_norm` where that is set.

    Every process gets the same, and must ask for it.
    """
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    length = nn.utils.get_total_norm(gradients)
    if config.max_grad_norm:
        nn.utils.clip_grads_with_norm_(model.parameters(), config.max_grad_norm, length)
    return whole(length)
