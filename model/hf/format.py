"""How a network of ours maps to an architecture of transformers: config fields and tensors."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from corpusmill.model.network.base import Network
from corpusmill.model.network.config import ModelConfig


@dataclass(frozen=True)
class TensorMapping:
    """How one tensor of a file is made of our parameters: joined by rows, transposed or not.

    Attributes:
        parts: parameters or views of them, (rows, ...) each.
        transposed: the file has inputs as rows.
        leading: the file has one more dimension, of one, in front.
    """

    parts: tuple[Tensor, ...]
    transposed: bool = False
    leading: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file has it."""
        shape = (sum(len(part) for part in self.parts), *self.parts[0].shape[1:])
        return (1, *shape) if self.leading else shape[:: -1 if self.transposed else 1]

    def gather(self) -> Tensor:
        """The tensor of the file, fp32 on the CPU."""
        joined = torch.cat([part.detach().to("cpu", torch.float32) for part in self.parts])
        joined = joined.T if self.transposed else joined
        return (joined.unsqueeze(0) if self.leading else joined).contiguous()

    def fill(self, tensor: Tensor) -> None:
        """Copies a tensor of the file into the parameters."""
        rows = tensor.T if self.transposed else tensor
        rows = rows.squeeze(0) if self.leading else rows
        pieces = torch.split(rows, [len(part) for part in self.parts])
        for part, piece in zip(self.parts, pieces, strict=True):
            part.copy_(piece)


def _same(name: str) -> str | None:
    return name


@dataclass(frozen=True)
class Format:
    """One architecture of transformers.

    Attributes:
        config: the class of its shape here.
        model_type: of config.json.
        architecture: the class that transformers loads it with.
        fields: names of ours and theirs of what config.json says about the shape.
        fixed: what config.json may say besides, and the only value that the network computes.
        constants: fields of ours that follow from the model type.
        spelled: the same config.json in the words of `fields` and `fixed`, where it has others.
        assumed: values of theirs where config.json has none, or null, as transformers has them.
        alike: other names in config.json of what it says already, which must say the same.
        length: their name of the longest sequence.
        mappings: the tensors of a file by their names, each with the parameters it is made of.
        renamed: today's name of a tensor that older files call otherwise; None for what is not
            needed.
        copies: tensors that repeat another where embeddings are tied, and that other.
        sinusoids: tensors of positions that a file may have besides; they follow from the shape.
        writes_sinusoids: whether those written here do.
        read: fields of ours that the names of the tensors tell.
        idle: tensors without effect on what a network of this shape computes.
    """

    config: type[Any]
    model_type: str
    architecture: Callable[[Any], str]
    fields: Mapping[str, str]
    fixed: Mapping[str, Any]
    mappings: Callable[[Any], dict[str, TensorMapping]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    spelled: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda described: described
    assumed: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {}
    alike: Mapping[str, str] = field(default_factory=dict)
    length: str = "max_position_embeddings"
    renamed: Callable[[str], str | None] = _same
    copies: Mapping[str, str] = field(default_factory=dict)
    sinusoids: tuple[str, ...] = ()
    writes_sinusoids: bool = False
    read: Callable[[Collection[str]], Mapping[str, Any]] = lambda _: {}
    idle: Callable[[Any], Collection[str]] = lambda _: ()

    def fits(self, config: ModelConfig) -> bool:
        """Whether networks of this shape are written in this format."""
        constants = self.constants.items()
        return isinstance(config, self.config) and all(
            getattr(config, name) == value for name, value in constants
        )


def linear(name: str, module: Any, *, transposed: bool = False) -> dict[str, TensorMapping]:
    """Weight and bias of one matrix, or of several below one another."""
    modules = module if isinstance(module, tuple) else (module,)
    found = {f"{name}.weight": TensorMapping(tuple(each.weight for each in modules), transposed)}
    if modules[0].bias is not None:
        found[f"{name}.bias"] = TensorMapping(tuple(each.bias for each in modules))
    return found


def norm(name: str, module: Any) -> dict[str, TensorMapping]:
    """Gain and bias of a LayerNorm."""
    return {
        f"{name}.weight": TensorMapping((module.weight,)),
        f"{name}.bias": TensorMapping((module.bias,)),
    }


def rows(model: Network, parameter: Tensor) -> Tensor:
    """A parameter by token, without the rows that pad the vocabulary."""
    return parameter[: model.vocab_size]
