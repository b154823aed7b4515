"""Groups of documents: the unit of work that one task, on any machine, does by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from storage.manifest import digest_json
from tasks.ingestion.pieces import Piece

GROUP_BYTES = 64 << 20


@dataclass(frozen=True)
class Group:
    """Consecutive pieces of the sources.

    Attributes:
        number: its place among the groups, from 0.
        pieces: in the order of the corpus.
    """

    number: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes to read, as they lie on disk."""
        return sum(piece.bytes for piece in self.pieces)

    @property
    def digest(self) -> str:
        """Digest of what will be read, and of how."""
        return digest_json([_identity(piece) for piece in self.pieces])


def plan_groups(pieces: Iterable[Piece], group_bytes: int = GROUP_BYTES) -> list[Group]:
    """Groups of at least `group_bytes` but the last; the same whoever works on them."""
    groups: list[Group] = []
    gathered: list[Piece] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += piece.bytes
        if size >= group_bytes:
            groups.append(Group(len(groups), tuple(gathered)))
            gathered, size = [], 0
    if gathered:
        groups.append(Group(len(groups), tuple(gathered)))
    return groups


def _identity(piece: Piece) -> list[object]:
    file = piece.file
    return [file.source, file.name, file.digest, piece.start, piece.stop, *file.manner]
