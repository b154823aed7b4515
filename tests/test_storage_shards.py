"""Token shards: what is written is read, across record batches, by us and by anyone's Arrow."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.shards import reading, writing
from corpusmill.storage.shards.reading import TokenStream
from corpusmill.storage.shards.schema import token_dtype
from tests.shards import write_shards

DOCUMENTS = st.lists(st.tuples(st.text(max_size=5), st.lists(st.integers(0, 65_535), max_size=40)))


def _written(directory: Path, tokens: int = 100, vocab_size: int = 1000) -> np.ndarray:
    ids = np.random.default_rng(0).integers(0, vocab_size, tokens)
    write_shards(directory, "train", vocab_size, [("a", ids[:30]), ("b", ids[30:])])
    return ids


@given(documents=DOCUMENTS, batch_tokens=st.integers(1, 20))
def test_any_documents_come_back_with_their_names_and_boundaries(
    documents: list[tuple[str, list[int]]], batch_tokens: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BATCH_TOKENS", batch_tokens)
        arrays = ((name, np.array(ids, np.uint32)) for name, ids in documents)
        counts = write_shards(Path(folder), "train", 1 << 16, arrays)
        flat = [token for _, ids in documents for token in ids]
        stream = TokenStream(Path(folder), "train")
        assert stream.read(0, len(stream)).tolist() == flat
        with pa.ipc.open_file(Path(folder) / "train.documents.arrow") as file:
            table = file.read_all()
    assert counts == {"documents": len(documents), "tokens": len(flat)}
    assert table["id"].to_pylist() == [name for name, _ in documents]
    assert table["end"].to_pylist() == np.cumsum([len(ids) for _, ids in documents]).tolist()


@pytest.mark.parametrize("batch_tokens", [1, 7, 10, 99, 100, 101])
def test_every_range_reads_the_same_whatever_batches_it_crosses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_tokens: int
) -> None:
    monkeypatch.setattr(writing, "BATCH_TOKENS", batch_tokens)
    ids = _written(tmp_path)
    stream = TokenStream(tmp_path, "train")
    for start in range(0, 101, 3):
        for stop in range(start, 101):
            assert np.array_equal(stream.read(start, stop), ids[start:stop])


@pytest.mark.parametrize("length", [1, 6, 7, 40, 130])
@pytest.mark.parametrize("batch_tokens", [1, 7, 40, 200])
def test_rows_read_the_same_as_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_tokens: int, length: int
) -> None:
    monkeypatch.setattr(writing, "BATCH_TOKENS", batch_tokens)
    for module in (writing, reading):
        monkeypatch.setattr(module, "CHECKED_TOKENS", 6)
    ids = _written(tmp_path)
    stream = TokenStream(tmp_path, "train")
    padded = np.concatenate([ids, np.zeros(length, int)])
    for starts in (np.arange(100), np.array([3, 0, 3]), np.array([99]), np.empty(0, np.int64)):
        expected = [padded[start : start + length] for start in starts]
        rows = stream.rows(starts, length)
        assert rows.dtype == np.uint16
        assert np.array_equal(rows, np.array(expected).reshape(-1, length))


def test_a_range_within_a_batch_is_a_view_of_the_file(tmp_path: Path) -> None:
    _written(tmp_path)
    stream = TokenStream(tmp_path, "train")
    assert np.shares_memory(stream.read(0, 100), stream.read(10, 20))


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_ids_take_the_smallest_type_that_holds_them(
    tmp_path: Path, vocab_size: int, dtype: str
) -> None:
    assert token_dtype(vocab_size) == np.dtype(dtype)
    write_shards(tmp_path, "train", vocab_size, [("a", np.array([0, vocab_size - 1]))])
    stream = TokenStream(tmp_path, "train")
    assert stream.dtype == np.dtype(dtype)
    assert stream.read(0, 2).tolist() == [0, vocab_size - 1]


def _flip(path: Path, ids: np.ndarray, token: int) -> None:
    """Damages one bit of one token."""
    data = bytearray(path.read_bytes())
    data[data.index(ids.astype(np.uint16).tobytes()) + 2 * token] ^= 1
    path.write_bytes(data)


def test_a_damaged_batch_is_refused_when_it_is_first_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_TOKENS", 40)
    ids = _written(tmp_path)
    _flip(tmp_path / "train.tokens.arrow", ids[40:80], 15)
    stream = TokenStream(tmp_path, "train")
    assert np.array_equal(stream.read(0, 40), ids[:40])
    assert np.array_equal(stream.read(80, 100), ids[80:])
    with pytest.raises(ArtifactError, match=r"train.tokens.arrow is damaged in record batch 1 "):
        stream.read(30, 50)


def test_only_the_touched_part_of_a_batch_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (writing, reading):
        monkeypatch.setattr(module, "CHECKED_TOKENS", 32)
    ids = _written(tmp_path)
    _flip(tmp_path / "train.tokens.arrow", ids, 70)
    stream = TokenStream(tmp_path, "train")
    assert np.array_equal(stream.read(5, 64), ids[5:64])
    assert np.array_equal(stream.read(96, 100), ids[96:])
    assert np.array_equal(stream.rows(np.array([3, 40]), 20), [ids[3:23], ids[40:60]])
    with pytest.raises(ArtifactError, match="near its token 64 "):
        stream.rows(np.array([3, 50]), 20)
    for start in (63, 64, 80):
        with pytest.raises(ArtifactError, match=r"near its token 64 .* make the shards again"):
            stream.read(start, 96)


def test_shards_without_checksums_are_refused(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "train.tokens.arrow", pa.schema({"ids": pa.uint16()})) as file:
        file.write_table(pa.table({"ids": pa.array([1, 2], pa.uint16())}))
    with pytest.raises(ArtifactError, match="make the shards again"):
        TokenStream(tmp_path, "train")


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _written(Path(folder))
        path = Path(folder) / "train.tokens.arrow"
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(ArtifactError, match="make the shards again"):
            TokenStream(Path(folder), "train")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="make the shards again"):
        TokenStream(tmp_path, "validation")


def test_an_arrow_file_of_something_else_is_refused(tmp_path: Path) -> None:
    _written(tmp_path)
    (tmp_path / "train.documents.arrow").rename(tmp_path / "validation.tokens.arrow")
    with pytest.raises(ArtifactError, match="make the shards again"):
        TokenStream(tmp_path, "validation")
