"""Labelled examples are found in all that the line of a start has met, pruned or not."""

import shutil
from pathlib import Path

import pytest

from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.stages.learned_text import copies_in_memory, learned_text
from tests.corpora import counts_of
from tests.labelled import examples_of, write_rows
from tests.lines import Line, begin


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A line after a night, each of which met twenty documents."""
    folder = tmp_path / "text"
    folder.mkdir()
    _write(folder, 0)
    line = begin(tmp_path / "home", CorpusConfig(sources=(str(folder),), text_unit="line"))
    _write(folder, 1)
    assert line.night()
    return line


def _write(folder: Path, night: int) -> None:
    lines = [_text(night, number) for number in range(20)]
    (folder / f"{night}.txt").write_text("\n".join(lines), encoding="utf-8")


def _text(night: int, number: int) -> str:
    words = (
        f"w{(night * 7919 + number * 104729 + place * 15485863) % 9973}" for place in range(30)
    )
    return " ".join(words)


def _versions(line: Line) -> list[RegisteredModel]:
    """The champion of the line, and a labeller that started from it."""
    assert line.memory
    tags = {"model_digest": "0" * 32, "corpus": line.corpora[-1].digest}
    tags["memory"] = line.memory.digest
    first = RegisteredModel("ours", "2", "a run", tags)
    taught = {"model_digest": "1" * 32, "examples": "2" * 32, "started_from": first.uri}
    return [first, RegisteredModel("labels", "1", "a run", taught)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_start_goes_back_to_every_corpus_of_its_line(line: Line, number: int) -> None:
    versions = _versions(line)
    found, gone = learned_text(line.layout, versions, versions[number])
    assert (found, gone) == ([*reversed(line.corpora), line.memory], [])


def test_copies_are_found_in_what_was_pruned(line: Line, tmp_path: Path) -> None:
    old = line.corpora[0]
    (trained, *_) = [each.text for each in read_documents(old.path, "train")]
    shutil.rmtree(old.path)
    versions = _versions(line)
    found, gone = learned_text(line.layout, versions, versions[0])
    assert gone == [old.digest] and line.memory in found
    rows = [
        (trained, "a"),
        (f"{trained} more", "b"),
        *((_text(9, n), "ab"[n % 2]) for n in range(9)),
    ]
    given = {"train": write_rows(tmp_path / "rows.jsonl", rows), "similarity": 1.0}
    ref = examples_of(line.layout.root, found, **given, validation_fraction=0, test_fraction=0)
    assert line.memory
    assert counts_of(ref)["overlaps"]["corpora"][line.memory.digest]["train"] == {
        "copies": 2,
        "examples": 11,
        "too_short": 0,
    }


def test_what_is_held_out_was_not_learned(line: Line) -> None:
    assert line.memory
    for corpus in line.corpora:
        held_out = [each.text for each in read_documents(corpus.path, "validation")]
        assert not copies_in_memory(held_out, line.memory).any()
