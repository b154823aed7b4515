"""Tables of vectors: of tokens, of positions, of segments."""

from collections.abc import Mapping

from torch import nn

from corpusmill.model.network.roles import Kind, Role


class Embedding(nn.Embedding):
    """A vector for each of some numbers; those of tokens may be the head too."""

    def __init__(self, rows: int, size: int, kind: Kind) -> None:
        super().__init__(rows, size)
        self.roles: Mapping[str, Role] = {"weight": Role(kind, "embedding")}
