"""The file of blocks: what is written is read, and what is no such file is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.blocks import Blocks, blocks_path, read_blocks, write_blocks
from corpusmill.storage.errors import ArtifactError


def _blocks(rows: int, width: int) -> Blocks:
    numbers = np.arange(rows)
    return Blocks(
        documents=[f"{number // 3:032}" for number in range(rows)],
        sources=["ab"[number // 9 % 2] for number in range(rows)],
        numbers=(numbers % 3).astype(np.int32),
        bytes=2048 + numbers,
        predictions=numbers,
        statistics=np.random.default_rng(0).normal(size=(rows, width)),
    )


@given(rows=st.integers(1, 40), width=st.integers(1, 30))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int
) -> None:
    folder, blocks = tmp_path_factory.mktemp("evaluation"), _blocks(rows, width)
    write_blocks(folder, blocks)
    read = read_blocks(folder)
    assert read.same_text(blocks) and len(read) == rows
    assert np.array_equal(read.predictions, blocks.predictions)
    assert np.array_equal(read.statistics, blocks.statistics)


@pytest.mark.parametrize("what", ["missing", "cut off", "other columns", "no rows", "uneven"])
def test_what_holds_no_blocks_is_refused_in_a_sentence(tmp_path: Path, what: str) -> None:
    path = blocks_path(tmp_path)
    write_blocks(tmp_path, _blocks(5, 2))
    with pa.ipc.open_file(path.read_bytes()) as file:
        table = file.read_all()
    made = {
        "other columns": table.drop_columns("bytes"),
        "no rows": table.slice(0, 0),
        "uneven": table.set_column(
            5, table.schema.field(5), pa.array([[1.0], [1.0, 2.0], [1.0], [1.0], [1.0]])
        ),
    }
    if what == "missing":
        path.unlink()
    elif what == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        with pa.ipc.new_file(str(path), made[what].schema) as file:
            file.write_table(made[what])
    with pytest.raises(ArtifactError, match=r"expected an Arrow file of blocks; remove the folder"):
        read_blocks(tmp_path)
