"""What an evaluation leaves for judgements by resampling: sums over blocks of held-out documents.

`blocks.arrow` is an uncompressed Arrow IPC file of one row a block. The bytes of a document are
divided evenly among its blocks, about 2,048 each, and its tokens too; so all evaluations of a
corpus have the same rows, whatever the tokenizer, but for `predictions` and `statistics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.storage.errors import ArtifactError

BLOCK_BYTES = 2048
SCHEMA = pa.schema(
    [
        pa.field("document", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("predictions", pa.int64(), nullable=False),
        pa.field("statistics", pa.list_(pa.float64()), nullable=False),
    ]
)


@dataclass(frozen=True)
class Blocks:
    """The blocks of all held-out documents, those of a document next to each other.

    Attributes:
        documents: id of the document of each; of a pair, whose block is all of it, its id.
        sources: of the documents.
        numbers: within the document, from 0; int32 (blocks,).
        bytes: of its text in UTF-8; int64 (blocks,).
        predictions: tokens of it that were predicted; int64 (blocks,).
        statistics: numbers whose sums over blocks give the figure that decides, as
            `corpusmill.model.evaluation.figures` explains; float64 (blocks, statistics).
    """

    documents: Sequence[str]
    sources: Sequence[str]
    numbers: np.ndarray
    bytes: np.ndarray
    predictions: np.ndarray
    statistics: np.ndarray

    def __len__(self) -> int:
        return len(self.documents)

    def same_text(self, other: "Blocks") -> bool:
        """Whether both are of the same blocks in the same order."""
        return (
            list(self.documents) == list(other.documents)
            and list(self.sources) == list(other.sources)
            and np.array_equal(self.numbers, other.numbers)
            and np.array_equal(self.bytes, other.bytes)
        )


def blocks_path(evaluation: Path) -> Path:
    """The file of the blocks of an evaluation."""
    return evaluation / "blocks.arrow"


def write_blocks(evaluation: Path, blocks: Blocks) -> None:
    """Writes the blocks into the folder of their evaluation."""
    rows, width = blocks.statistics.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    columns = [
        pa.array(blocks.documents, pa.string()),
        pa.array(blocks.sources, pa.string()),
        pa.array(blocks.numbers, pa.int32()),
        pa.array(blocks.bytes, pa.int64()),
        pa.array(blocks.predictions, pa.int64()),
        pa.ListArray.from_arrays(offsets, pa.array(blocks.statistics.ravel(), pa.float64())),
    ]
    with pa.ipc.new_file(str(blocks_path(evaluation)), SCHEMA) as file:
        file.write_batch(pa.record_batch(columns, schema=SCHEMA))


def read_blocks(evaluation: Path) -> Blocks:
    """The blocks that an evaluation left in its folder.

    Raises:
        ArtifactError: the file is missing or does not hold blocks.
    """
    path = blocks_path(evaluation)
    try:
        with pa.ipc.open_file(pa.memory_map(str(path))) as file:
            table = file.read_all().combine_chunks()
        table.validate(full=True)
        if not table.schema.equals(SCHEMA):
            raise ValueError(f"its columns are {', '.join(table.schema.names)}")
        parts = {name: table.column(name).combine_chunks() for name in SCHEMA.names}
        lists = parts["statistics"]
        statistics = np.array(lists.flatten()).reshape(len(lists), -1) if len(lists) else None
        if statistics is None or (np.diff(np.array(lists.offsets)) != statistics.shape[1]).any():
            raise ValueError("its rows are of no or of several lengths")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of blocks; remove the "
            "folder and evaluate again."
        ) from error
    return Blocks(
        documents=parts["document"].to_pylist(),
        sources=parts["source"].to_pylist(),
        numbers=np.array(parts["block"]),
        bytes=np.array(parts["bytes"]),
        predictions=np.array(parts["predictions"]),
        statistics=statistics,
    )
