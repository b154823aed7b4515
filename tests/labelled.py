"""Labelled examples as an artifact, small ones for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from corpusmill.storage.artifacts import Ref, Spec, publish
from corpusmill.storage.examples.reading import (
    COLUMNS,
    EXAMPLES,
    SIDES,
    Kind,
    Label,
    Side,
    examples_path,
)

# Text, second text, label.
Row = tuple[str, str | None, Label]
_TYPES: Mapping[Kind, pa.DataType] = {
    "classification": pa.string(),
    "regression": pa.float64(),
    "several": pa.list_(pa.string()),
}


def publish_examples(
    path: Path, kind: Kind, sides: Mapping[Side, Sequence[Row]], names: Sequence[str] = ()
) -> Ref:
    """An artifact of these examples; their labels are called as in `names`, in that order."""
    types = [pa.string(), pa.string(), pa.string(), _TYPES[kind], pa.string()]
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))

    def write(directory: Path) -> dict[str, dict[str, int]]:
        for side in SIDES:
            rows = [
                dict(zip(COLUMNS, (f"{side}-{n}", *row, f"{side}:{n}"), strict=True))
                for n, row in enumerate(sides.get(side, ()))
            ]
            with pa.ipc.new_file(str(examples_path(directory, side)), schema) as file:
                file.write_table(pa.Table.from_pylist(rows, schema))
        return {"labels": dict.fromkeys(names, 1)}

    spec = Spec(EXAMPLES, 1, {}, {"kind": kind, "path": str(path)})
    publish(path, spec, write)
    return Ref(EXAMPLES, spec.digest, path)
