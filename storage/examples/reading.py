"""Labelled examples as they are kept: an Arrow file a side, and what their labels are called."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.manifest import read_manifest

EXAMPLES = "examples"
Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = get_args(Side)
Kind = Literal["classification", "regression", "several"]
Label = str | float | list[str]
COLUMNS = ("id", "text", "text_pair", "label", "place")


@dataclass(frozen=True)
class Examples:
    """The examples of a side, in order.

    Attributes:
        ids: of each.
        texts: of each; of a pair the first.
        pairs: the second of a pair; None where there is none.
        labels: a name; a number of a regression; several names.
        places: where each came from.
    """

    ids: list[str]
    texts: list[str]
    pairs: list[str | None]
    labels: list[Label]
    places: list[str]

    def __len__(self) -> int:
        return len(self.ids)


def examples_path(directory: Path, side: Side) -> Path:
    """The file of the examples of a side."""
    return directory / f"{side}.arrow"


def read_examples(directory: Path, side: Side) -> Examples:
    """The examples of a side.

    Raises:
        ArtifactError: the file is missing or does not hold examples.
    """
    path = examples_path(directory, side)
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            table = file.read_all()
            return Examples(*(table.column(name).to_pylist() for name in COLUMNS))
    except (OSError, LookupError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of labelled examples; "
            "run the stage that makes them again."
        ) from error


def label_names(directory: Path) -> list[str]:
    """The names of the labels, in their one order; none of a regression."""
    return list(read_manifest(directory)["counts"]["labels"])


def kind_of(directory: Path) -> Kind:
    """What the labels are."""
    kind: Kind = read_manifest(directory)["config"]["kind"]
    return kind
