"""Held-out text: kept by itself, and chosen from to judge by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import (
    SCHEMA,
    Document,
    document_id,
    documents_path,
    read_documents,
)
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.stages.held_out import (
    Choice,
    choose_documents,
    keep_held_out,
    new_documents,
)
from tests.corpora import build_of, counts_of, write_jsonl


def _document(text: str, source: str) -> dict[str, str]:
    name = document_id(text.encode())
    return {"id": name, "source": source, "file": "f", "language": "en", "text": text}


class Store:
    """Artifacts with held-out documents."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)

    def keep(self, texts: Mapping[str, Sequence[str]], pairs: Sequence[str] = ()) -> Ref:
        """Documents of these sources."""
        rows = [_document(text, source) for source, some in texts.items() for text in some]

        def write(folder: Path) -> dict[str, Any]:
            with SplitWriter(folder, "validation", "zstd") as writer:
                for row in rows:
                    writer.add(pa.RecordBatch.from_pylist([row], schema=SCHEMA))
            return {"pairs": list(pairs)}

        config = {"ids": [row["id"] for row in rows], "pairs": list(pairs)}
        return obtain(self.layout, Spec("held_out", 1, {}, config), write)[0]

    def choose(self, *choices: Choice, without: Sequence[str] = ()) -> list[Document]:
        chosen = choose_documents(self.layout, choices, without)
        return list(read_documents(chosen.path, "validation"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def _old(*folders: Ref, size: int = 2000, most: int = 500, by_size: bool = False) -> Choice:
    return Choice("old", folders, "validation", size, most, by_size)


def _texts(first: int, count: int, size: int = 100) -> list[str]:
    return [f"{number:04d} {'x' * (size - 5)}" for number in range(first, first + count)]


def test_what_is_held_out_of_a_corpus_is_kept_by_itself(tmp_path: Path) -> None:
    text = write_jsonl(tmp_path / "a.jsonl", _texts(0, 200))
    source = FileSource(files=str(text), name="a", licence="CC0-1.0")
    corpus = build_of(tmp_path / "home", CorpusConfig(sources=(source,), validation_fraction=0.2))
    kept = keep_held_out(Layout(tmp_path / "home"), corpus)
    expected = list(read_documents(corpus.path, "validation"))
    assert list(read_documents(kept.path, "validation")) == expected
    assert counts_of(kept)["validation"] == counts_of(corpus)["validation"]
    assert counts_of(kept)["licences"] == {"a": "CC0-1.0"}


def test_sources_have_equal_shares_of_a_bounded_size(store: Store) -> None:
    kept = store.keep({"large": _texts(0, 300), "small": _texts(300, 5), "other": _texts(400, 50)})
    chosen = store.choose(_old(kept, size=3000))
    sizes = dict.fromkeys(("large", "small", "other"), 0)
    for each in chosen:
        sizes[each.source] += len(each.text.encode())
    assert sizes == {"large": 1000, "small": 500, "other": 1000}


def test_what_is_chosen_stays_as_documents_are_added(store: Store) -> None:
    folders = [store.keep({"a": _texts(100 * n, 100)}) for n in range(4)]
    before = {each.id for each in store.choose(_old(folders[0]))}
    for number in range(1, 4):
        now = {each.id for each in store.choose(_old(*folders[: number + 1]))}
        known = {document_id(each.encode()) for each in _texts(0, 100 * number)}
        # None comes of those that were passed over, and most stay.
        assert now & known <= before and len(now) == len(before)
        assert len(now & known) > len(before) * number / (number + 1) / 2
        before = now


def test_what_is_chosen_does_not_depend_on_how_documents_are_divided(store: Store) -> None:
    whole = store.keep({"a": _texts(0, 100)})
    parts = [store.keep({"a": _texts(start, 50)}) for start in (50, 0)]
    assert {each.id for each in store.choose(_old(whole))} == {
        each.id for each in store.choose(_old(*parts))
    }


def test_long_documents_are_cut_within_their_characters_and_pairs_are_not(store: Store) -> None:
    long = "雪" * 1000
    kept = store.keep({"text": [long], "pairs": [f"{long}!"]}, pairs=["pairs"])
    found = {each.source: each for each in store.choose(_old(kept, most=100))}
    assert found["text"].text == "雪" * 33
    assert found["text"].id == document_id(long.encode())
    assert found["pairs"].text == f"{long}!"


def test_of_a_long_document_stretches_all_over_it_are_read(store: Store) -> None:
    texts = [f"{n:02d}" + "good" * 250 + "雪" * 3333 for n in range(20)]
    kept = store.keep({"a": [*texts, "short"]})
    limits = (1000, 4000)
    for limit in limits:
        choice = Choice("new", [kept], "validation", 1 << 20, limit, by_size=True, stretch=1000)
        chosen = {each.id: each.text for each in store.choose(choice)}
        assert chosen.pop(document_id(b"short")) == "short"
        pieces = [text.split("\n\n") for text in chosen.values()]
        assert {len(each) for each in pieces} == {limit // 1000}
        assert all(990 < len(each.encode()) <= 1000 for those in pieces for each in those)
        # Where they begin differs from document to document.
        assert len({text.count("good") for text in chosen.values()}) > 1
        assert all("雪" in those[-1] for those in pieces)


def test_what_is_left_out_is_not_chosen_and_others_take_its_place(store: Store) -> None:
    kept = store.keep({"a": _texts(0, 100)})
    all_of_them = store.choose(_old(kept))
    without = [all_of_them[0].id, all_of_them[5].id]
    rest = store.choose(_old(kept), without=without)
    assert len(rest) == len(all_of_them)
    assert {each.id for each in all_of_them} - {each.id for each in rest} == set(without)


def test_long_documents_are_the_likelier_to_be_chosen_by_size(store: Store) -> None:
    kept = store.keep({"a": [*_texts(0, 900, 50), *_texts(900, 100, 450)]})

    def long_ones(by_size: bool) -> int:
        chosen = store.choose(_old(kept, size=5000, by_size=by_size))
        return sum(len(each.text) == 450 for each in chosen)

    # A half of the bytes are in one document of ten.
    assert long_ones(True) > long_ones(False)


def test_the_new_ones_are_told_apart_and_pairs_are_said(store: Store) -> None:
    old, new = store.keep({"a": _texts(0, 50)}), store.keep({"b": _texts(50, 50)}, pairs=["b"])
    choices = [_old(old), Choice("new", [new], "validation", 1000, 500)]
    chosen = choose_documents(store.layout, choices)
    found = list(read_documents(chosen.path, "validation"))
    assert new_documents(chosen.path) == {each.id for each in found if each.source == "b"}
    assert len(found) == 20 + 10
    assert counts_of(chosen)["pairs"] == ["b"]
    assert counts_of(chosen)["validation"]["documents"] == 30


def test_of_both_sides_of_a_corpus_there_are_documents(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [f"The house number {n} is red." for n in range(40)])
    corpus = build_of(tmp_path, CorpusConfig(sources=(str(path),), validation_fraction=0.3))
    chosen = choose_documents(Layout(tmp_path), [Choice("new", [corpus], None, 10_000, 100)])
    sides = [{each.id for each in read_documents(corpus.path, split)} for split in SPLITS]
    assert all(sides) and new_documents(chosen.path) == sides[0] | sides[1]


def test_of_nothing_nothing_is_chosen(store: Store) -> None:
    empty = store.keep({})
    assert store.choose(_old(empty)) == []
    assert documents_path(empty.path, "validation").exists()
