"""What a parameter is: what moves it, and how it begins. The module that owns it declares both.

A module with parameters of its own has `roles`, a `Role` by the name of each. Its kind is what
`corpusmill.model.training.optimizer` gives a rate and an optimizer to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from torch import nn

# matrices: of a hidden layer, which Muon can move; AdamW moves all others. positions: a table of
# those that begin as waves. gains: and biases, which never decay. head_gain: that of the norm
# before a head that is the embeddings too.
Kind = Literal["matrices", "embeddings", "positions", "head", "gains", "head_gain"]
# fan_in: normal with variance 1/fan_in; embedding: as `Network.embedding_std` says.
Beginning = Literal["zeros", "ones", "fan_in", "embedding"]


@dataclass(frozen=True)
class Role:
    """Attributes:
    kind: by which it is moved.
    begins: what `Network.init_weights` fills it with.
    """

    kind: Kind
    begins: Beginning


READS = Role("matrices", "fan_in")
# To the residual stream, into which a new layer so adds nothing.
WRITES = Role("matrices", "zeros")
GAIN = Role("gains", "ones")
BIAS = Role("gains", "zeros")


class HasRoles(Protocol):
    """A module that declares the roles of its own parameters.

    Attributes:
        roles: what each of them is, by its name in the module.
    """

    roles: Mapping[str, Role]


def with_roles(network: nn.Module) -> Iterator[tuple[nn.Parameter, Role]]:
    """Every parameter, in the order of `named_parameters`, and what its owner says it is."""
    for place, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            declared = cast(HasRoles, module).roles if hasattr(module, "roles") else {}
            assert name in declared, f"{type(module).__name__} {place} has no role for its {name}"
            yield parameter, declared[name]
