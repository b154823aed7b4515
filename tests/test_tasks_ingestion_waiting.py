"""Documents that wait for a person: neither learned nor met, and read again once let in."""

from pathlib import Path

import pytest

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.memory import Memory
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.past import KeptOut
from tests.corpora import counts_of
from tests.lines import Line, begin

FIRST = [f"The house number {n} stands on the hill number {n * n}." for n in range(20)]
LATER = [f"A boat of {n} oars was seen at the pier {n + 7} of {n * 3}." for n in range(40)]


def _line(root: Path) -> Line:
    folder = root / "text"
    folder.mkdir()
    (folder / "first.txt").write_text("\n".join(FIRST))
    line = begin(root / "home", CorpusConfig(sources=(str(folder),), text_unit="line"))
    (folder / "good.txt").write_text("\n".join(LATER[:30]))
    (folder / "other.txt").write_text("\n".join(LATER[30:]))
    return line


def _documents(corpus: Ref) -> list[Document]:
    return [each for split in SPLITS for each in read_documents(corpus.path, split)]


def test_what_waits_is_neither_learned_nor_met_and_counts_as_dropped(tmp_path: Path) -> None:
    line = _line(tmp_path)
    corpus = line.find()
    assert corpus
    waiting = {each.id for each in _documents(corpus) if each.file == "text/other.txt"}
    line.kept_out = KeptOut({"set_aside": frozenset(map(bytes.fromhex, waiting))})
    rest = line.find()
    assert rest and counts_of(rest)["validation"]["documents"]
    assert {each.text for each in _documents(rest)} == set(LATER[:30])
    before, counts = counts_of(corpus), counts_of(rest)
    assert counts["documents"]["dropped"]["set_aside"] == 10
    for key in ("documents", "bytes"):
        amounts = counts[key]
        assert amounts["in"] == before[key]["in"]
        lost = sum(amounts["dropped"].values()) + amounts.get("edited", 0)
        assert amounts["in"] == amounts["kept"] + lost
        assert amounts["kept"] == sum(counts[split][key] for split in SPLITS)
    line.night()
    assert line.memory
    met = {each.tobytes().hex() for each in Memory(line.memory.path).met.ids}
    assert not met & waiting and len(met) == 20 + 30


def test_what_is_let_in_later_is_read_then(tmp_path: Path) -> None:
    line = _line(tmp_path)
    corpus = line.find()
    assert corpus
    waiting = {each.id for each in _documents(corpus) if each.file == "text/other.txt"}
    line.kept_out = KeptOut({"set_aside": frozenset(map(bytes.fromhex, waiting))})
    line.night()
    # While it waits there is nothing to learn in its file.
    found = line.find()
    assert found and not _documents(found)
    line.kept_out = KeptOut()
    found = line.find()
    assert found and {each.text for each in _documents(found)} == set(LATER[30:])


@pytest.mark.parametrize("how", ["copied", "renamed", "almost copied"])
def test_what_is_let_in_is_learned_though_a_copy_of_it_was_there(tmp_path: Path, how: str) -> None:
    line, folder = _line(tmp_path), tmp_path / "text"
    long = " ".join(f"The {n} sails of the ship number {n * 7} were red." for n in range(60))
    (folder / "long.txt").write_text(long)
    corpus = line.find()
    assert corpus
    waiting = {each.id for each in _documents(corpus) if each.file == "text/long.txt"}
    line.kept_out = KeptOut({"set_aside": frozenset(map(bytes.fromhex, waiting))})
    if how == "copied":
        (folder / "copy.txt").write_text(long)
    elif how == "renamed":
        (folder / "long.txt").rename(folder / "other name.txt")
    else:
        (folder / "more.txt").write_text(f"{long} So they say.")
    line.night()
    line.kept_out = KeptOut()
    found = line.find()
    assert found and long in {each.text for each in _documents(found)}


def test_a_text_that_grows_is_compared_with_what_was_learned_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"Of the hill number {number} little is known.")
    sentences = [f"On the day {n} the harbour of {n * n} was full of ships." for n in range(60)]
    (folder / "diary.txt").write_text(" ".join(sentences[:40]))
    line = begin(tmp_path / "home", CorpusConfig(sources=(str(folder),)))
    learned = []
    for day in range(41, 60):
        (folder / "diary.txt").write_text(" ".join(sentences[:day]))
        corpus = line.night()
        assert corpus
        learned += [day] * len(_documents(corpus))
    assert learned and learned[0] > 45
