"""What a model answered to the items of probes, for comparisons item by item.

`probes.arrow` is an uncompressed Arrow IPC file of one row an item, beside `blocks.arrow`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.storage.errors import ArtifactError

SCHEMA = pa.schema(
    [
        pa.field("probe", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("right", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Answers:
    """Attributes:
    items: digest of each.
    right: whether each was answered right; bool (items,).
    """

    items: tuple[str, ...]
    right: np.ndarray


def probes_path(evaluation: Path) -> Path:
    """The file of the answers of an evaluation."""
    return evaluation / "probes.arrow"


def write_answers(evaluation: Path, answers: Mapping[str, Answers]) -> None:
    """Writes answers, by the name of their probe, into the folder of their evaluation."""
    columns = [
        pa.array([name for name, each in answers.items() for _ in each.items], pa.string()),
        pa.array([item for each in answers.values() for item in each.items], pa.string()),
        pa.array([right for each in answers.values() for right in each.right], pa.bool_()),
    ]
    with pa.ipc.new_file(str(probes_path(evaluation)), SCHEMA) as file:
        file.write_batch(pa.record_batch(columns, schema=SCHEMA))


def read_answers(evaluation: Path) -> dict[str, Answers]:
    """The answers that an evaluation left in its folder, by the name of their probe.

    Raises:
        ArtifactError: the file is missing or does not hold answers.
    """
    path = probes_path(evaluation)
    try:
        with pa.ipc.open_file(pa.memory_map(str(path))) as file:
            table = file.read_all()
        table.validate(full=True)
        if not table.schema.equals(SCHEMA):
            raise ValueError(f"its columns are {', '.join(table.schema.names)}")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of answers; remove the "
            "folder and evaluate again."
        ) from error
    rows: dict[str, list[tuple[str, bool]]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["probe"], []).append((row["item"], row["right"]))
    return {
        name: Answers(tuple(item for item, _ in each), np.array([right for _, right in each]))
        for name, each in rows.items()
    }
