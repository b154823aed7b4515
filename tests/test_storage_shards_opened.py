"""Token shards are plain Arrow files: other programs open them as they are."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest

from corpusmill.storage.shards import writing
from corpusmill.storage.shards.parts import assemble, write_part


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The ids of train shards in `tmp_path`, of several record batches and two sources."""
    monkeypatch.setattr(writing, "BATCH_TOKENS", 40)
    ids = np.random.default_rng(0).integers(0, 1000, 100).astype(np.uint16)
    part = write_part(
        tmp_path,
        0,
        ids,
        ends=np.array([30, 30, 100]),
        document_ids=["a", "b", "c"],
        sources=["web", "web", "书"],
        languages=["en", "en", "zh"],
        sizes=np.array([90, 0, 210]),
    )
    assemble(tmp_path, "train", 1000, [part])
    return ids


def test_pyarrow_maps_the_files_without_copying_them(tmp_path: Path, written: np.ndarray) -> None:
    before = pa.total_allocated_bytes()
    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "train.tokens.arrow"))).read_all()
    assert pa.total_allocated_bytes() <= before
    assert table["ids"].to_pylist() == written.tolist()


def test_datasets_opens_the_files(tmp_path: Path, written: np.ndarray) -> None:
    def load(what: str) -> datasets.Dataset:
        (dataset,) = datasets.load_dataset(
            "arrow",
            data_files=str(tmp_path / f"train.{what}.arrow"),
            cache_dir=str(tmp_path / what),
        ).values()
        return dataset

    tokens, documents = load("tokens"), load("documents")
    assert tokens["ids"][:] == written.tolist()
    assert tokens.features["ids"].dtype == "uint16"
    assert documents["source"][:] == ["web", "web", "书"]


def test_polars_opens_the_files(tmp_path: Path, written: np.ndarray) -> None:
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    tokens = polars.read_ipc(tmp_path / "train.tokens.arrow")
    assert tokens["ids"].dtype == polars.UInt16
    assert tokens["ids"].to_list() == written.tolist()
    documents = polars.scan_ipc(tmp_path / "train.documents.arrow")
    by_language = documents.group_by("language").len().collect()
    assert dict(by_language.iter_rows()) == {"en": 2, "zh": 1}


def test_duckdb_queries_the_files(tmp_path: Path, written: np.ndarray) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        for what in ("tokens", "documents"):
            source = pa.dataset.dataset(tmp_path / f"train.{what}.arrow", format="ipc")
            connection.register(what, source)
        (total,) = connection.execute("select sum(ids) from tokens").fetchone()
        ends = connection.execute("select id, \"end\" from documents where source = '书'")
        assert total == written.sum()
        assert ends.fetchall() == [("c", 100)]
