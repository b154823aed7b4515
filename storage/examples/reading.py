"""Reads labelled examples, side by side, and what their manifest says of the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.examples.schema import Side, TaskKind, examples_path
from corpusmill.storage.manifest import read_manifest

Labels = list[str] | list[float] | list[list[str]]


@dataclass(frozen=True)
class Examples:
    """The examples of one side, in their order; all lists are of one length.

    Attributes:
        ids: 32 hex digits each: the digest of the text (and its pair), the same in any file.
        texts: in NFC, without white space around them; none is empty.
        pairs: the second texts; None where an example is one text.
        labels: names, numbers, or lists of names, as the kind of the task is.
        places: file and row that each comes from, in words.
    """

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: Labels
    places: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, numbers: Sequence[int]) -> "Examples":
        """The examples with these numbers, in this order."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        chosen: dict[str, Any] = {
            name: None if column is None else [column[number] for number in numbers]
            for name, column in columns.items()
        }
        return Examples(**chosen)


def read_examples(directory: Path, side: Side) -> Examples:
    """The examples of one side of the artifact in `directory`.

    Raises:
        ArtifactError: the file is missing or is no Arrow file of examples.
    """
    path = examples_path(directory, side)
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
            columns = reader.read_all().to_pydict()
        pairs: Sequence[str | None] = columns["text_pair"]
        return Examples(
            ids=columns["id"],
            texts=columns["text"],
            pairs=None if None in pairs or not pairs else [each or "" for each in pairs],
            labels=columns["label"],
            places=columns["place"],
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of labelled examples; make "
            "the examples again."
        ) from error


def label_names(directory: Path) -> tuple[str, ...]:
    """The labels in the order that they are numbered by; none for regression.

    Raises:
        ArtifactError: `directory` is no complete artifact.
    """
    return tuple(read_manifest(directory)["counts"]["labels"])


def kind_of(directory: Path) -> TaskKind:
    """Whether an example has one label, a number, or several labels.

    Raises:
        ArtifactError: `directory` is no complete artifact.
    """
    kind: TaskKind = read_manifest(directory)["counts"]["kind"]
    return kind
