"""Forgetting: the documents of a file and their relatives are found, and kept out for ever."""

from pathlib import Path

import pytest

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import document_id, read_documents
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.ledger import Decisions, Forgotten
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig, FileSource
from corpusmill.tasks.stages.forgetting import (
    Meeting,
    documents_of_file,
    meeting,
    with_relatives,
)
from corpusmill.tasks.stages.past import kept_out_by
from tests.corpora import speeches, write_jsonl
from tests.lines import Line, begin

SPEECHES = [text[:6000] for text in speeches(14)]


def _edited(text: str, every: int) -> str:
    words = text.split()
    words[::every] = ["otherwise"] * len(words[::every])
    return " ".join(words)


def _id(text: str) -> str:
    return document_id(text.encode())


def _learned(corpus: Ref | None) -> set[str]:
    assert corpus
    return {each.text for split in SPLITS for each in read_documents(corpus.path, split)}


class Text:
    """A folder with a speech a file, and a line that has met eight of them in two nights."""

    def __init__(self, root: Path, **cleaning: object) -> None:
        self.folder = root / "text"
        self.folder.mkdir()
        config = CorpusConfig(
            sources=(str(self.folder),), cleaning=CleaningConfig.model_validate(cleaning)
        )
        for number in range(4):
            self.write(number)
        self.line: Line = begin(root / "home", config)
        self.memories = [self._memory()]
        for number in range(4, 8):
            self.write(number)
        self.night()

    def write(self, number: int, text: str | None = None) -> Path:
        path = self.folder / f"{number}.txt"
        path.write_text(text or SPEECHES[number], encoding="utf-8")
        return path

    def night(self) -> set[str]:
        found = _learned(self.line.night())
        self.memories.append(self._memory())
        return found

    def forget(self, path: Path) -> Forgotten:
        found = documents_of_file(self.line.layout, self.line.config, path)
        forgotten = with_relatives(found, self.memories)
        self.line.kept_out = kept_out_by(Decisions(forgotten=[forgotten]))
        return forgotten

    def _memory(self) -> Ref:
        assert self.line.memory
        return self.line.memory


@pytest.fixture
def text(tmp_path: Path) -> Text:
    return Text(tmp_path)


def test_the_versions_that_met_a_document_are_named(text: Text) -> None:
    forgotten = text.forget(text.folder / "5.txt")
    assert forgotten.ids == (_id(SPEECHES[5]),)
    before, after = (meeting(forgotten, memory) for memory in text.memories)
    assert before == Meeting(0, 0)
    assert after.trained + after.held_out == 1
    everywhere = text.forget(text.folder / "2.txt")
    for memory in text.memories:
        met = meeting(everywhere, memory)
        assert met.trained + met.held_out == 1


def test_relatives_that_were_met_are_found_too(text: Text, tmp_path: Path) -> None:
    other = tmp_path / "version.txt"
    other.write_text(_edited(SPEECHES[1], 150))
    forgotten = text.forget(other)
    assert set(forgotten.ids) == {_id(_edited(SPEECHES[1], 150)), _id(SPEECHES[1])}
    met = meeting(forgotten, text.memories[-1])
    assert met.trained + met.held_out == 1


def test_what_is_forgotten_stays_out_of_later_nights_even_when_it_is_edited(text: Text) -> None:
    new = text.write(8)
    text.forget(new)
    text.write(9, _edited(SPEECHES[8], 150))
    text.write(10)
    text.write(11)
    assert text.night() == {SPEECHES[10], SPEECHES[11]}
    text.write(9, _edited(SPEECHES[8], 100))
    text.write(12)
    text.write(13)
    assert text.night() == {SPEECHES[12], SPEECHES[13]}


def test_a_file_with_several_documents_is_forgotten_whole(text: Text, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "some.jsonl", [SPEECHES[0], SPEECHES[9]])
    forgotten = text.forget(path)
    assert set(forgotten.ids) == {_id(SPEECHES[0]), _id(SPEECHES[9])}
    text.write(9)
    text.write(10)
    text.write(11)
    assert text.night() == {SPEECHES[10], SPEECHES[11]}


def test_a_file_is_read_in_each_way_in_which_its_line_reads(tmp_path: Path) -> None:
    lines = ["One house stands on the hill.", "Two boats lie at the pier.", "Three."]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines))
    sources = (
        FileSource(files=str(path), name="lines", text_unit="line"),
        FileSource(files=str(path), name="whole", held_out=True),
    )
    line = begin(tmp_path / "home", CorpusConfig(sources=sources))
    found = documents_of_file(line.layout, line.config, path)
    assert {*map(_id, lines), _id("\n".join(lines))} <= set(found.ids)


def test_without_bands_equal_texts_are_forgotten(tmp_path: Path) -> None:
    text = Text(tmp_path, near_duplicates="off")
    forgotten = text.forget(text.folder / "5.txt")
    assert forgotten.ids == (_id(SPEECHES[5]),) and len(forgotten.bands) == 0
    met = meeting(forgotten, text.memories[-1])
    assert met.trained + met.held_out == 1


def test_an_empty_file_has_nothing_to_forget(text: Text, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    forgotten = text.forget(empty)
    assert forgotten.ids == ()
    assert meeting(forgotten, text.memories[-1]) == Meeting(0, 0)


def test_a_file_that_is_gone_is_said(text: Text, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist"):
        text.forget(tmp_path / "gone.txt")


def test_reading_it_leaves_nothing_behind(text: Text) -> None:
    parts = text.line.layout.artifacts("part")
    before = {path.name for path in parts.iterdir()}
    text.write(9)
    text.forget(text.folder / "9.txt")
    assert {path.name for path in parts.iterdir()} == before


def test_a_file_that_was_the_whole_corpus_is_read_though_the_corpus_is_there(
    tmp_path: Path,
) -> None:
    path = write_jsonl(tmp_path / "all.jsonl", SPEECHES[:4])
    line = begin(tmp_path / "home", CorpusConfig(sources=(str(path),)))
    found = documents_of_file(line.layout, line.config, path)
    assert set(found.ids) == {_id(text) for text in SPEECHES[:4]}
