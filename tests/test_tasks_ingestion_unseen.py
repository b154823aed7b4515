"""What a model has not met: the nights before count."""

from pathlib import Path

import pytest

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import verify
from corpusmill.tasks.ingestion.unseen import select_unseen
from tests.corpora import build, counts_of, sides_of, write_jsonl


def _numbered(first: int, last: int) -> list[str]:
    return [f"document {number}" for number in range(first, last)]


def test_only_unseen_documents_are_selected(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    first = build(tmp_path, write_jsonl(path, _numbered(0, 100)), validation_fraction=0.3)
    second = build(tmp_path, write_jsonl(path, _numbered(60, 150)), validation_fraction=0.3)
    ref, reused = select_unseen(Layout(tmp_path), second, first)
    assert not reused
    assert select_unseen(Layout(tmp_path), second, first) == (ref, True)
    sides = sides_of(second)
    assert sides_of(ref) == {text: sides[text] for text in _numbered(100, 150)}
    manifest = verify(ref.path)
    assert manifest["inputs"] == {"documents": second.digest, "seen": first.digest}
    assert manifest["counts"]["documents"] == {"in": 90, "kept": 50, "dropped": {"seen": 40}}


def test_what_was_seen_nights_ago_is_still_seen(tmp_path: Path) -> None:
    path, layout = tmp_path / "x.jsonl", Layout(tmp_path)
    seen = build(tmp_path, write_jsonl(path, _numbered(0, 10)))
    for night in range(1, 4):
        # The folder forgets the first documents, then has them again.
        first = 0 if night == 3 else night * 10
        corpus = build(tmp_path, write_jsonl(path, _numbered(first, night * 10 + 10)))
        seen, _ = select_unseen(layout, corpus, seen)
        assert set(sides_of(seen)) == set(_numbered(night * 10, night * 10 + 10))


def test_nothing_new_is_an_empty_corpus(tmp_path: Path) -> None:
    corpus = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", _numbered(0, 10)))
    ref, _ = select_unseen(Layout(tmp_path), corpus, corpus)
    assert counts_of(ref)["documents"] == {"in": 10, "kept": 0, "dropped": {"seen": 10}}
    assert sides_of(ref) == {}
    assert len((ref.path / "dropped.jsonl").read_text().splitlines()) == 10


def test_a_chain_with_a_link_missing_is_a_sentence(tmp_path: Path) -> None:
    path, layout = tmp_path / "x.jsonl", Layout(tmp_path)
    first = build(tmp_path, write_jsonl(path, _numbered(0, 10)))
    corpus = build(tmp_path, write_jsonl(path, _numbered(0, 20)))
    second, _ = select_unseen(layout, corpus, first)
    (first.path / "train.arrow").unlink()
    newer = build(tmp_path, write_jsonl(path, _numbered(0, 30)))
    with pytest.raises(ArtifactError, match="run the stage that makes it again"):
        select_unseen(layout, newer, second)


def test_what_resembles_a_document_that_was_met_is_left_out(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    path, layout = tmp_path / "x.jsonl", Layout(tmp_path)
    first = build(tmp_path, write_jsonl(path, [text, *_numbered(0, 10)]))
    similar = text.replace("word100 ", "")
    second = build(tmp_path, write_jsonl(path, [similar, *_numbered(10, 20)]))
    ref, _ = select_unseen(layout, second, first)
    assert counts_of(ref)["documents"]["dropped"] == {"near_duplicate_of_seen": 1}
    assert set(sides_of(ref)) == set(_numbered(10, 20))
