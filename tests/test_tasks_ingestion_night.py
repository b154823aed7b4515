"""Nights: what is new in a folder, on which side it is, and what is remembered of it."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import document_id, is_held_out, read_documents
from corpusmill.storage.memory import HELD_OUT, NEITHER, TRAIN, Memory
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import plan_corpus
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig, FileSource
from corpusmill.tasks.ingestion.past import KeptOut, Past
from corpusmill.tasks.ingestion.sides import NIGHTLY_BYTES
from tests.corpora import counts_of, sides_of, speeches, write_jsonl
from tests.lines import Line, begin

SPEECHES = speeches(16)
# So much of a speech that two of them are no relatives.
PART = 6000


def _paragraphs(text: str) -> list[str]:
    return [each for each in text.splitlines() if len(each) > 100]


def _cut(number: int, bytes_: int = PART) -> str:
    return SPEECHES[number][:bytes_].rpartition(" ")[0]


def _edited(text: str, every: int, word: str = "otherwise") -> str:
    """The text with every so-many-th word replaced."""
    words = text.split()
    words[::every] = [word] * len(words[::every])
    return " ".join(words)


class Text:
    """A folder with a file a speech, and the line that learns from it."""

    def __init__(self, root: Path, count: int = 8, *more: str, **fields: Any) -> None:
        self.folder = root / "text"
        self.folder.mkdir()
        for number, text in enumerate([*map(_cut, range(count)), *more]):
            self.write(f"{number}.txt", text)
        fields = {"sources": (str(self.folder),), "validation_fraction": 0.3, **fields}
        self.line: Line = begin(root / "home", CorpusConfig(**fields))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def of_side(self, split: str) -> str:
        """A text of the first corpus that is on this side."""
        return next(text for text, side in sides_of(self.line.corpora[0]).items() if side == split)

    def night(self) -> Ref:
        corpus = self.line.night()
        assert corpus
        return corpus


def _dropped(corpus: Ref) -> dict[str, int]:
    dropped: dict[str, int] = counts_of(corpus)["documents"]["dropped"]
    return {reason: count for reason, count in dropped.items() if count}


def _memory(line: Line) -> Memory:
    assert line.memory
    return Memory(line.memory.path)


def test_what_is_new_is_learned_and_a_half_of_it_is_held_out_at_most(tmp_path: Path) -> None:
    text = Text(tmp_path)
    for number in range(8, 12):
        text.write(f"{number}.txt", _cut(number))
    corpus = text.night()
    sides = sides_of(corpus)
    assert set(sides) == {_cut(number) for number in range(8, 12)}
    assert sum(side == "validation" for side in sides.values()) == 2
    assert not _dropped(corpus)


def test_a_night_without_new_files_reads_nothing(tmp_path: Path) -> None:
    assert Text(tmp_path).line.night() is None


@pytest.mark.parametrize("deed", ["renamed", "copied", "touched", "moved"])
def test_a_file_that_is_only_called_otherwise_is_not_new(tmp_path: Path, deed: str) -> None:
    text = Text(tmp_path)
    path = text.folder / "0.txt"
    if deed == "renamed":
        path.rename(text.folder / "other.txt")
    elif deed == "copied":
        shutil.copyfile(path, text.folder / "copy.txt")
    elif deed == "touched":
        path.touch()
    else:
        (text.folder / "below").mkdir()
        path.rename(text.folder / "below" / "0.txt")
    assert text.line.night() is None


def test_deleted_files_change_nothing(tmp_path: Path) -> None:
    text = Text(tmp_path)
    for number in range(7):
        (text.folder / f"{number}.txt").unlink()
    assert text.line.night() is None
    text.write("9.txt", _cut(9))
    text.write("10.txt", _cut(10))
    write_jsonl(text.folder / "0.jsonl", [_cut(0)])
    assert set(sides_of(text.night())) == {_cut(9), _cut(10)}
    assert len(_memory(text.line).met) == 10


def test_a_text_that_was_met_is_seen_in_whatever_file_it_comes(tmp_path: Path) -> None:
    text = Text(tmp_path, text_unit="line")
    known = _paragraphs(_cut(3))[0]
    text.write("new.txt", "\n".join([_paragraphs(_cut(9))[0], known, _paragraphs(_cut(9))[1]]))
    corpus = text.night()
    assert known not in sides_of(corpus)
    assert _dropped(corpus) == {"seen": 1}


@pytest.mark.parametrize("split", SPLITS)
def test_an_edited_file_is_a_near_duplicate_of_what_was_met(tmp_path: Path, split: str) -> None:
    text = Text(tmp_path)
    text.write("edited.txt", _edited(text.of_side(split), 200))
    text.write("9.txt", _cut(9))
    text.write("10.txt", _cut(10))
    corpus = text.night()
    assert set(sides_of(corpus)) == {_cut(9), _cut(10)}
    assert _dropped(corpus) == {"near_duplicate_of_seen": 1}
    assert text.line.night() is None


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("near", ["drop", "keep"])
def test_a_relative_takes_the_side_of_what_was_met(tmp_path: Path, split: str, near: str) -> None:
    text = Text(tmp_path, cleaning=CleaningConfig(near_duplicates=near))
    # Half of it is new: no near-duplicate, and yet it shares bands.
    others = [_paragraphs(SPEECHES[number])[0] for number in range(9, 16)]
    relatives = [f"{text.of_side(split)}\n{' '.join(others[:n])}" for n in (1, 2, 3)]
    for number, relative in enumerate(relatives):
        text.write(f"relative-{number}.txt", relative)
    for number in range(9, 13):
        text.write(f"{number}.txt", SPEECHES[number][PART : 2 * PART])
    sides = sides_of(text.night())
    found = {sides[each] for each in relatives if each in sides}
    assert found in ({split}, set()) if near == "drop" else found == {split}


def _versions() -> tuple[str, str, str, str]:
    """Versions of a text, each with a Jaccard similarity of 0.85 to the one before it."""
    words = " ".join(SPEECHES[12].split()).split()[:1000]
    versions = [" ".join(words)]
    for start in (0, 300, 600):
        words[start : start + 300 : 19] = [f"change{start}"] * 16
        versions.append(" ".join(words))
    first, second, third, fourth = versions
    return first, second, third, fourth


def _is_held_out(text: str, fraction: float) -> bool:
    leading = np.frombuffer(bytes.fromhex(document_id(text.encode())), np.uint8)
    return bool(is_held_out(leading[None], fraction)[0])


def _parted(root: Path) -> tuple[Text, str, str]:
    """A line that has met two versions of a text on different sides, and those between them."""
    first, one, other, last = _versions()
    others = (f"{last} {number}" for number in range(100))
    side = _is_held_out(first, 0.3)
    last = next(each for each in others if _is_held_out(each, 0.3) != side)
    text = Text(root, 0, first, last, cleaning=CleaningConfig(near_duplicates="keep"))
    assert set(sides_of(text.line.corpora[0]).values()) == {*SPLITS}
    return text, one, other


def test_a_relative_of_both_sides_is_on_neither_and_counted(tmp_path: Path) -> None:
    text, one, other = _parted(tmp_path)
    # Neither resembles both, but each resembles the other.
    for number, each in enumerate([one, other, _cut(9), _cut(10)], 20):
        text.write(f"{number}.txt", each)
    corpus = text.night()
    assert set(sides_of(corpus)) == {_cut(9), _cut(10)}
    assert _dropped(corpus) == {"relative_of_both": 2}
    assert (_memory(text.line).met.sides == NEITHER).sum() == 2
    # They stay met.
    write_jsonl(text.folder / "again.jsonl", [one, _cut(11)])
    assert _dropped(text.night()) == {"seen": 1}


def test_near_duplicates_within_a_night_are_dropped_and_remembered(tmp_path: Path) -> None:
    text = Text(tmp_path)
    text.write("a.txt", _cut(9))
    text.write("b.txt", _edited(_cut(9), 300))
    text.write("c.txt", _cut(10))
    corpus = text.night()
    assert _dropped(corpus) == {"near_duplicate": 1}
    met = _memory(text.line).met
    assert len(met) == 8 + 3
    # On the side of the one that is kept.
    write_jsonl(text.folder / "d.jsonl", [_edited(_cut(9), 300)])
    text.write("e.txt", _cut(11))
    assert _dropped(text.night()) == {"seen": 1}


def test_without_near_duplicates_only_equal_texts_are_met(tmp_path: Path) -> None:
    text = Text(tmp_path, cleaning=CleaningConfig(near_duplicates="off"))
    text.write("edited.txt", _edited(_cut(0), 300))
    text.write("9.txt", _cut(9))
    write_jsonl(text.folder / "again.jsonl", [_cut(0)])
    corpus = text.night()
    assert set(sides_of(corpus)) == {_edited(_cut(0), 300), _cut(9)}
    assert _dropped(corpus) == {"seen": 1}


def _sources(root: Path, **held_out: bool) -> tuple[FileSource, ...]:
    sources = []
    for name, whole in held_out.items():
        (root / name).mkdir()
        sources.append(FileSource(files=str(root / name), name=name, held_out=whole))
    return tuple(sources)


def _write_to(folder: Path, texts: Sequence[str], first: int = 0) -> None:
    for number, text in enumerate(texts, first):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")


def test_of_each_source_something_is_held_out_but_at_most_half(tmp_path: Path) -> None:
    sources = _sources(tmp_path, small=False, large=False, single=False)
    paragraphs = list(dict.fromkeys(p for text in SPEECHES for p in _paragraphs(text)))
    for name in ("small", "large", "single"):
        _write_to(tmp_path / name, [paragraphs.pop(), paragraphs.pop()])
    config = CorpusConfig(sources=sources, validation_fraction=0.01)
    line = begin(tmp_path / "home", config)
    _write_to(tmp_path / "small", [paragraphs.pop() for _ in range(5)], 2)
    _write_to(tmp_path / "large", [paragraphs.pop() for _ in range(90)], 2)
    _write_to(tmp_path / "single", [paragraphs.pop()], 2)
    corpus = line.night()
    assert corpus
    found = {
        (name, split): [
            len(each.text.encode())
            for each in read_documents(corpus.path, split)
            if each.source == name
        ]
        for name in ("small", "large", "single")
        for split in SPLITS
    }
    # Half of five documents are far less than 8 kB.
    assert len(found["small", "validation"]) == 2 and len(found["small", "train"]) == 3
    held_out = found["large", "validation"]
    assert sum(held_out) >= NIGHTLY_BYTES > sum(held_out) - max(held_out)
    assert len(held_out) <= 45
    assert (len(found["single", "train"]), len(found["single", "validation"])) == (1, 0)


def test_a_fraction_that_asks_for_more_holds_out_more(tmp_path: Path) -> None:
    text = Text(tmp_path, text_unit="line", validation_fraction=0.3)
    paragraphs = [p for n in range(8, 16) for p in _paragraphs(SPEECHES[n])]
    text.write("new.txt", "\n".join(paragraphs))
    counts = counts_of(text.night())
    new = counts["train"]["documents"] + counts["validation"]["documents"]
    assert counts["validation"]["documents"] == pytest.approx(0.3 * new, rel=0.35)
    assert counts["validation"]["bytes"] > 2 * NIGHTLY_BYTES


def test_of_two_documents_of_two_sources_one_is_held_out(tmp_path: Path) -> None:
    line = begin(tmp_path / "home", _two_sources(tmp_path))
    _write_to(tmp_path / "one", [_cut(9)], 9)
    _write_to(tmp_path / "two", [_cut(10)], 10)
    corpus = line.night()
    assert corpus and sorted(sides_of(corpus).values()) == ["train", "validation"]


def _two_sources(root: Path) -> CorpusConfig:
    sources = _sources(root, one=False, two=False)
    _write_to(root / "one", [_cut(0), _cut(1)])
    _write_to(root / "two", [_cut(2), _cut(3)])
    return CorpusConfig(sources=sources)


def test_a_source_that_is_gone_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = begin(tmp_path / "home", _two_sources(tmp_path))
    shutil.rmtree(tmp_path / "one")
    _write_to(tmp_path / "two", [_cut(9), _cut(10)], 9)
    assert line.memory
    (gone,) = plan_corpus(line.layout, line.config, Past(line.memory, line.kept_out)).gone
    assert gone.name == "one" and str(tmp_path / "one") in gone.gone
    with caplog.at_level(logging.WARNING):
        corpus = line.night()
    assert corpus and set(sides_of(corpus)) == {_cut(9), _cut(10)}
    assert "the source one is left out" in caplog.text
    shutil.rmtree(tmp_path / "two")
    # There is no file at all, and that is no fault of a night.
    assert line.night() is None


def test_a_source_held_out_stays_held_out_and_its_relatives_with_it(tmp_path: Path) -> None:
    sources = _sources(tmp_path, exam=True, text=False)
    _write_to(tmp_path / "exam", [_cut(0), _cut(1)])
    _write_to(tmp_path / "text", [_cut(2), _cut(3)])
    config = CorpusConfig(sources=sources, cleaning=CleaningConfig(near_duplicates="keep"))
    line = begin(tmp_path / "home", config)
    _write_to(tmp_path / "exam", [_cut(8), _edited(_cut(2), 300)], 8)
    write_jsonl(tmp_path / "exam" / "known.jsonl", [_cut(3)])
    like = {_edited(_cut(0), 300), _edited(_cut(8), 300)}
    _write_to(tmp_path / "text", [*like, _cut(9), _cut(10), _cut(11)], 8)
    corpus = line.night()
    assert corpus
    sides = sides_of(corpus)
    assert {sides[each] for each in (_cut(8), *like)} == {"validation"}
    # What was trained on cannot be held out any more.
    assert _dropped(corpus) == {"relative_of_both": 1, "seen": 1}
    assert "train" in sides.values()


def test_both_texts_of_a_pair_are_one_document(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.mkdir()
    source = FileSource(files=str(path), pair=("en", "zh"))

    def write(name: str, numbers: range) -> None:
        rows = (f'{{"en": "The number {n} is odd", "zh": "数字{n}是奇数"}}\n' for n in numbers)
        (path / name).write_text("".join(rows), encoding="utf-8")

    write("a.jsonl", range(1, 61, 2))
    line = begin(tmp_path / "home", CorpusConfig(sources=(source,)))
    write("b.jsonl", range(41, 101, 2))
    corpus = line.night()
    assert corpus
    counts = counts_of(corpus)
    assert counts["documents"]["in"] == 30
    assert _dropped(corpus)["seen"] == 10
    assert counts["pairs"] == ["pairs"]
    assert counts["validation"]["documents"] >= 1 and counts["train"]["documents"] >= 1


def test_what_is_kept_out_is_neither_learned_nor_met(tmp_path: Path) -> None:
    text = Text(tmp_path)
    for number in (9, 10, 11):
        text.write(f"{number}.txt", _cut(number))
    found = text.line.find()
    assert found
    ids = {
        each.text: bytes.fromhex(each.id)
        for split in SPLITS
        for each in read_documents(found.path, split)
    }
    text.line.kept_out = KeptOut({"set_aside": frozenset({ids[_cut(9)]})})
    corpus = text.line.night()
    assert corpus
    assert set(sides_of(corpus)) == {_cut(10), _cut(11)}
    assert _dropped(corpus) == {"set_aside": 1}
    assert ids[_cut(9)] not in {each.tobytes() for each in _memory(text.line).met.ids}
    # Once it is let in, it is new.
    text.line.kept_out = KeptOut()
    corpus = text.line.find()
    assert corpus and set(sides_of(corpus)) == {_cut(9)}


def test_documents_in_are_those_kept_and_those_dropped(tmp_path: Path) -> None:
    text = Text(tmp_path, text_unit="line")
    lines = [p for n in (3, 9, 10) for p in _paragraphs(_cut(n))]
    text.write("new.txt", "\n".join([*lines, lines[-1], _edited(lines[-1], 40)]))
    counts = counts_of(text.night())
    documents = counts["documents"]
    assert documents["in"] == documents["kept"] + sum(documents["dropped"].values())
    assert documents["kept"] == sum(counts[split]["documents"] for split in SPLITS)
    size = counts["bytes"]
    assert size["in"] == size["kept"] + sum(size["dropped"].values()) + size["edited"]


def test_sides_of_a_line_are_those_of_its_corpora(tmp_path: Path) -> None:
    text = Text(tmp_path)
    for number in (9, 10, 11):
        text.write(f"{number}.txt", _cut(number))
    text.night()
    met = _memory(text.line).met
    expected = {
        bytes.fromhex(each.id): TRAIN if split == "train" else HELD_OUT
        for corpus in text.line.corpora
        for split in SPLITS
        for each in read_documents(corpus.path, split)
    }
    found = dict(zip([each.tobytes() for each in met.ids], met.sides.tolist(), strict=True))
    assert found == expected
    assert not (met.bands == 0).any()
    assert met.bands.shape == (len(expected), 20) and met.bands.dtype == np.uint64
