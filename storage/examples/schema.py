"""Labelled examples as they are kept: an Arrow file for each side, and the labels there are.

`train.arrow`, `validation.arrow` and `test.arrow` are uncompressed Arrow IPC files; one of a side
that has no examples has no rows. The manifest's counts say how many came in, were kept and dropped
by reason, side by side, and which labels there are, in an order that heads of networks are numbered
by.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pyarrow as pa

KIND = "examples"
FORMAT_VERSION = 1

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, Side, Side] = ("train", "validation", "test")
TaskKind = Literal["classification", "regression", "several"]

_LABELS: dict[TaskKind, pa.DataType] = {
    "classification": pa.string(),
    "regression": pa.float64(),
    "several": pa.list_(pa.string()),
}


def examples_path(directory: Path, side: Side) -> Path:
    """The file of the examples of one side."""
    return directory / f"{side}.arrow"


def schema_of(kind: TaskKind) -> pa.Schema:
    """The columns of a file of examples; `text_pair` is null where an example is one text."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("text_pair", pa.string()),
            pa.field("label", _LABELS[kind], nullable=False),
            pa.field("place", pa.string(), nullable=False),
        ]
    )


def ordered_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Labels in the one order that they are numbered by: as numbers if all are whole ones."""
    distinct = set(names)
    if all(_is_whole(name) for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def _is_whole(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdecimal()
