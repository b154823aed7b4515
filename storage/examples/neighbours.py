"""The training examples that are most like others: `neighbours.jsonl`, a line an example.

    {"id": "…", "nearest": "…", "cosine": 0.83}

An example that is like none has no line.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from corpusmill.storage.errors import ArtifactError

_FILE = "neighbours.jsonl"


@dataclass(frozen=True)
class Neighbour:
    """An example's nearest training example.

    Attributes:
        id, nearest: ids of both.
        cosine: of the angle between them, above 0 up to 1.
    """

    id: str
    nearest: str
    cosine: float


def write_neighbours(directory: Path, neighbours: Sequence[Neighbour]) -> None:
    """Writes the file."""
    lines = [json.dumps(asdict(each)) + "\n" for each in neighbours]
    (directory / _FILE).write_text("".join(lines), encoding="utf-8")


def read_neighbours(directory: Path) -> dict[str, Neighbour]:
    """The neighbours by the ids of the examples that they are of.

    Raises:
        ArtifactError: the file is missing or holds something else.
    """
    path = directory / _FILE
    try:
        with path.open(encoding="utf-8") as file:
            found = [Neighbour(**json.loads(line)) for line in file]
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} holds no neighbours ({error}); expected JSON Lines of id, nearest and cosine: "
            "find them again."
        ) from error
    return {each.id: each for each in found}
