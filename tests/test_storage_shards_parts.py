"""Parts: what many workers write becomes the same shards, however the work was divided."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.shards import writing
from corpusmill.storage.shards.parts import assemble, write_part
from corpusmill.storage.shards.reading import TokenStream, read_document_ends

Document = tuple[str, str, list[int]]
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from(["web", "书", "code"]),
        st.sampled_from(["en", "zh"]),
        st.lists(st.integers(0, 65_535), max_size=30),
    ),
    max_size=30,
)


def _write(folder: Path, number: int, documents: list[Document], first: int = 0) -> Path:
    lengths = [len(ids) for *_, ids in documents]
    return write_part(
        folder,
        number,
        np.array([token for *_, ids in documents for token in ids], np.uint16),
        ends=np.cumsum(lengths, dtype=np.int64),
        document_ids=[f"document {first + row}" for row in range(len(documents))],
        sources=[source for source, *_ in documents],
        languages=[language for _, language, _ in documents],
        sizes=np.array(lengths, np.int64) * 3,
    )


def _assembled(folder: Path, documents: list[Document], cuts: list[int]) -> dict[str, Any]:
    """Shards of documents that were divided into parts at `cuts`."""
    folder.mkdir()
    edges = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]
    parts = [
        _write(folder, number, documents[a:b], a) for number, (a, b) in enumerate(pairwise(edges))
    ]
    return assemble(folder, "train", 1 << 16, parts)


def _bytes(folder: Path) -> list[bytes]:
    return [(folder / f"train.{what}.arrow").read_bytes() for what in ("tokens", "documents")]


@settings(max_examples=40)
@given(
    documents=DOCUMENTS,
    cuts=st.lists(st.integers(0, 30), max_size=4),
    rows=st.integers(1, 9),
    tokens=st.integers(1, 50),
)
def test_the_same_documents_become_the_same_bytes(
    documents: list[Document], cuts: list[int], rows: int, tokens: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BATCH_TOKENS", tokens)
        patch.setattr(writing, "_BATCH_DOCUMENTS", rows)
        one, many = Path(name) / "one", Path(name) / "many"
        assert _assembled(one, documents, []) == _assembled(many, documents, cuts)
        assert _bytes(one) == _bytes(many)


@settings(max_examples=40)
@given(documents=DOCUMENTS, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_every_document_is_there_beside_those_of_its_source_and_counted(
    documents: list[Document], cuts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shards"
        counts = _assembled(folder, documents, cuts)
        table = pa.ipc.open_file(folder / "train.documents.arrow").read_all()
        stream = TokenStream(folder, "train")
        tokens = stream.read(0, len(stream)).tolist()
        ends = read_document_ends(folder, "train")
    order = list(dict.fromkeys(source for source, *_ in documents))
    rows = sorted(range(len(documents)), key=lambda row: order.index(documents[row][0]))
    expected = [documents[row] for row in rows]
    assert table["id"].to_pylist() == [f"document {row}" for row in rows]
    assert table["source"].to_pylist() == [source for source, *_ in expected]
    assert table["language"].to_pylist() == [language for _, language, _ in expected]
    assert tokens == [token for *_, ids in expected for token in ids]
    assert ends.tolist() == np.cumsum([len(ids) for *_, ids in expected], dtype=int).tolist()
    assert counts["documents"] == len(documents)
    assert counts["tokens"] * 3 == counts["bytes"] == len(tokens) * 3
    first = 0
    for source, entry in counts["sources"].items():
        lengths = [len(ids) for its, _, ids in documents if its == source]
        assert entry == {
            "documents": len(lengths),
            "tokens": sum(lengths),
            "bytes": sum(lengths) * 3,
            "first_token": first,
        }
        first += sum(lengths)
    for language, entry in counts["languages"].items():
        lengths = [len(ids) for _, its, ids in documents if its == language]
        assert entry == {
            "documents": len(lengths),
            "tokens": sum(lengths),
            "bytes": sum(lengths) * 3,
        }


def test_a_part_that_is_written_again_is_replaced(tmp_path: Path) -> None:
    _write(tmp_path, 0, [("web", "en", [1, 2])])
    part = _write(tmp_path, 0, [("web", "en", [3])])
    assert assemble(tmp_path, "train", 1 << 16, [part])["tokens"] == 1


@pytest.mark.parametrize("name", ["part-00000000.ids.npy", "part-00000000.documents.arrow"])
@pytest.mark.parametrize("left", [None, 0, 150])
def test_a_part_that_is_missing_or_cut_is_refused(
    tmp_path: Path, name: str, left: int | None
) -> None:
    part = _write(tmp_path, 0, [("web", "en", list(range(200)))])
    if left is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:left])
    with pytest.raises(ArtifactError, match=r"part-00000000 .* is missing or damaged .* run again"):
        assemble(tmp_path, "train", 1 << 16, [part])
