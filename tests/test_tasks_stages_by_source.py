"""Figures by source: each is that of its blocks, within its interval."""

from pathlib import Path

import numpy as np
import pytest

from corpusmill.model.config import EvaluationResult
from corpusmill.storage.blocks import Blocks, write_blocks
from corpusmill.storage.config import write_json_value
from corpusmill.tasks.stages.by_source import figures_by_source


def evaluation(folder: Path, sources: list[str], bits: np.ndarray, *, equal: bool = False) -> Path:
    """Of documents of two blocks each."""
    rows = len(sources)
    blocks = Blocks(
        documents=["same" if equal else str(row // 2) for row in range(rows)],
        sources=sources,
        numbers=(np.arange(rows) % 2).astype(np.int32),
        bytes=np.full(rows, 1000),
        predictions=np.full(rows, 300),
        statistics=bits[:, None],
    )
    write_blocks(folder, blocks)
    result = EvaluationResult(
        family="causal_lm",
        documents=rows // 2,
        bytes=rows * 1000,
        predictions=rows * 300,
        figures={},
        decides="bits_per_byte",
        precision="fp32",
        seconds=1.0,
    )
    write_json_value(folder / "result.json", result)
    return folder


def test_each_source_has_the_figure_of_its_blocks_within_an_interval(tmp_path: Path) -> None:
    sources = [*["b"] * 40, *["a"] * 60]
    bits = np.random.default_rng(0).normal([*[1500.0] * 40, *[1000.0] * 60], 100)
    name, rows = figures_by_source(evaluation(tmp_path, sources, bits))
    assert name == "bits_per_byte"
    assert [row.source for row in rows] == [None, "a", "b"]
    assert [(row.documents, row.blocks, row.bytes) for row in rows] == [
        (50, 100, 100_000),
        (30, 60, 60_000),
        (20, 40, 40_000),
    ]
    whole, a, b = rows
    assert whole.value == pytest.approx(bits.sum() / 100_000)
    assert a.value == pytest.approx(bits[40:].sum() / 60_000)
    assert b.value == pytest.approx(bits[:40].sum() / 40_000)
    for row in rows:
        assert row.low < row.value < row.high
    # A tenth of a bit a block, over 20 documents of two.
    assert b.high - b.low == pytest.approx(2 * 1.96 * 0.1 / 40**0.5, rel=0.5)


def test_of_one_source_there_is_one_figure(tmp_path: Path) -> None:
    _, (row,) = figures_by_source(evaluation(tmp_path, ["a"] * 8, np.full(8, 900.0)))
    assert row.source is None and row.few
    assert (row.value, row.low, row.high) == pytest.approx((0.9, 0.9, 0.9))


def test_equal_documents_are_as_many_documents(tmp_path: Path) -> None:
    _, (row,) = figures_by_source(
        evaluation(tmp_path, ["a"] * 40, np.linspace(500, 900, 40), equal=True)
    )
    assert (row.documents, row.few) == (20, False)
