"""What a night takes over: what is kept out, and whether all that is new was tried before."""

from pathlib import Path

import numpy as np
import pytest

from corpusmill.storage.artifacts import Ref, Spec, discard, obtain
from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Decisions, Forgotten, Rejected, SetAside
from corpusmill.storage.memory import Segment, write_segments
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.stages.past import held_out_of, is_tried, kept_out_by, memory_of
from tests.lines import Line, begin

ONE, TWO = "00" * 16, "11" * 16


class Night:
    """A champion, a version that has learned what came then, and the corpus of what is new now."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "text"
        self.folder.mkdir()
        self.write(0)
        self.line: Line = begin(root / "home", CorpusConfig(sources=(str(self.folder),)))
        assert self.line.memory
        self.champion = self.line.memory
        self.write(1)
        self.line.night()
        self.refused = self.line.memory
        self.line.memory = self.champion

    def write(self, number: int) -> None:
        for n in range(4):
            text = f"In spring {n} the harbours of state {number} were filled with grain."
            (self.folder / f"{number}-{n}.txt").write_text(text)

    def tried(self, *rejected: Rejected, config: str = "now") -> str | None:
        corpus = self.line.find()
        assert corpus
        decisions = Decisions(rejected=list(rejected))
        return is_tried(self.line.layout, self.champion, decisions, corpus, config)

    def rejected(self, config: str | None) -> Rejected:
        return Rejected("2", self.refused.digest, config)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_text_that_was_refused_is_not_tried_in_the_same_way_again(night: Night) -> None:
    assert night.tried() is None
    assert night.tried(night.rejected("now")) == "2"
    assert night.tried(night.rejected("other")) is None
    # What was rolled back is not tried in any way.
    assert night.tried(night.rejected(None)) == "2"


def test_beside_other_text_it_is_new_again(night: Night) -> None:
    night.write(2)
    assert night.tried(night.rejected("now")) is None


def test_what_several_versions_have_tried_adds_up(night: Night, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for path in night.folder.glob("1-*"):
        path.rename(tmp_path / "other" / path.name)
    night.write(2)
    night.line.night()
    second = Rejected("3", night.line.memory.digest if night.line.memory else "", "now")
    night.line.memory = night.champion
    for path in (tmp_path / "other").iterdir():
        path.rename(night.folder / path.name)
    assert night.tried(night.rejected("now")) is night.tried(second) is None
    assert night.tried(night.rejected("now"), second) == "3"


def test_a_version_whose_memory_is_gone_says_nothing(night: Night) -> None:
    discard(night.refused)
    assert night.tried(night.rejected("now")) is None


def test_what_was_decided_is_kept_out(tmp_path: Path) -> None:
    bands = np.arange(20, dtype=np.uint64)[None]
    waiting = SetAside("web", "a.txt", "why", (ONE,), "text")
    decisions = Decisions(set_aside=[waiting], forgotten=[Forgotten("b.txt", (TWO,), bands)] * 2)
    kept_out = kept_out_by(decisions)
    assert kept_out.ids == {
        "set_aside": {bytes.fromhex(ONE)},
        "forgotten": {bytes.fromhex(TWO)},
    }
    assert kept_out.bands is not None and kept_out.bands.shape == (2, 20)
    past = Past(Ref("memory", "0", tmp_path), kept_out)
    assert past.forgotten == {TWO}


def test_what_is_kept_out_decides_which_corpus_it_is() -> None:
    nothing, one = kept_out_by(Decisions()), Forgotten("b", (ONE,), np.zeros((0, 20), np.uint64))
    other = Forgotten("b", (), np.ones((1, 20), np.uint64))
    assert nothing.ids == {} and nothing.bands is None
    digests = {kept_out_by(Decisions(forgotten=each)).digest for each in ([], [one], [other])}
    assert len(digests) == 3


def test_held_out_text_of_a_line_is_found_segment_by_segment(night: Night) -> None:
    found = held_out_of(night.line.layout, night.refused)
    assert [each.digest for each in found] == [each.digest for each in night.line.held_out]


@pytest.mark.parametrize("kind", ["memory", "held_out", "corpus"])
def test_what_is_gone_of_a_line_is_a_sentence_with_what_helps(tmp_path: Path, kind: str) -> None:
    layout = Layout(tmp_path)
    tags = {"corpus": "c" * 32} if kind == "corpus" else {"memory": _memory_without(layout, kind)}
    champion = RegisteredModel("ours", "3", "run", tags)
    with pytest.raises(
        StackError, match=r"models:/ours/3, .* has met .*`corpusmill rollback ours`"
    ):
        memory_of(layout, champion)


def _memory_without(layout: Layout, kind: str) -> str:
    """The digest of a memory whose shards or held-out text, or which itself, is not there."""

    def write(folder: Path) -> None:
        write_segments(folder, [Segment("000000", "c" * 32, "s" * 32, "h" * 32, 0)])

    memory, _ = obtain(layout, Spec("memory", 1), write)
    if kind == "memory":
        discard(memory)
    return memory.digest
