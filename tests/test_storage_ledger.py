"""The ledger of a registered model: what people and nights decided, and what it comes to."""

from pathlib import Path

import numpy as np
import pytest

from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Forgotten, Ledger, Rejected, SetAside

ONE, TWO, THREE = ("00" * 16, "11" * 16, "22" * 16)
NOISE = SetAside("web", "web/noise.txt", "it compresses to 90% of its size", (ONE, TWO), "x9 …")
FOREIGN = SetAside("web", "web/雪.txt", "its language, zh, is none of en", (THREE,), "雪\n雪")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Layout(tmp_path), "our model")


def _file(root: Path) -> Path:
    (path,) = (root / "ledgers").iterdir()
    return path


def test_a_ledger_that_was_never_written_decides_nothing(ledger: Ledger) -> None:
    found = ledger.read()
    assert not (found.set_aside or found.released or found.forgotten or found.rejected)
    assert found.champion is None


def test_what_is_set_aside_waits_as_it_was_said(ledger: Ledger) -> None:
    ledger.set_aside([NOISE], "a night")
    ledger.set_aside([FOREIGN], "another night")
    found = ledger.read().set_aside
    assert found == [NOISE, FOREIGN]
    assert [each.night for each in found] == ["a night", "another night"]


def test_one_file_is_released_by_itself(ledger: Ledger) -> None:
    ledger.set_aside([NOISE, FOREIGN], "a night")
    assert ledger.release(NOISE.file) == 2
    found = ledger.read()
    assert found.set_aside == [FOREIGN] and found.released == {ONE, TWO}
    assert ledger.release(NOISE.file) == 0


def test_all_is_released_together_with_what_was_rejected(ledger: Ledger) -> None:
    ledger.set_aside([NOISE, FOREIGN], "a night")
    ledger.reject(Rejected("2", "memory", "config"))
    assert ledger.release(FOREIGN.file) == 1
    assert ledger.read().rejected == [Rejected("2", "memory", "config")]
    assert ledger.release(None) == 2
    found = ledger.read()
    assert not found.set_aside and not found.rejected
    assert found.released == {ONE, TWO, THREE}


def test_what_is_set_aside_after_a_release_waits_again(ledger: Ledger) -> None:
    ledger.set_aside([NOISE], "a night")
    ledger.release(None)
    ledger.set_aside([FOREIGN], "another night")
    assert ledger.read().set_aside == [FOREIGN]


@pytest.mark.parametrize("documents", [0, 1, 3])
def test_bands_of_what_is_forgotten_come_back(ledger: Ledger, documents: int) -> None:
    bands = np.random.default_rng(1).integers(0, 2**64, (documents, 20), np.uint64)
    ledger.forget(Forgotten("/text/雪.txt", (ONE, THREE), bands))
    (found,) = ledger.read().forgotten
    assert (found.file, found.ids) == ("/text/雪.txt", (ONE, THREE))
    assert found.bands.dtype == np.uint64 and np.array_equal(found.bands, bands)


def test_refused_and_rolled_back_versions_add_up(ledger: Ledger) -> None:
    ledger.promote("1")
    ledger.reject(Rejected("2", "two", "config"))
    ledger.promote("3")
    assert ledger.read().champion == "3"
    ledger.roll_back([Rejected("3", "three", None)], "1")
    found = ledger.read()
    assert found.champion == "1"
    assert found.rejected == [Rejected("2", "two", "config"), Rejected("3", "three", None)]


def test_a_version_that_was_rolled_back_is_known_after_a_release_and_until_it_is_promoted(
    ledger: Ledger,
) -> None:
    ledger.promote("3")
    ledger.roll_back([Rejected("3", "three", None)], "1")
    ledger.release(None)
    assert ledger.read().rolled_back == {"3"}
    ledger.promote("3")
    assert not ledger.read().rolled_back


def test_what_is_champion_again_is_not_rejected_any_more(ledger: Ledger) -> None:
    two, three = Rejected("2", "two", None), Rejected("3", "three", None)
    ledger.promote("3")
    ledger.roll_back([two, three], "1")
    ledger.promote("3")
    assert ledger.read().rejected == [two]
    ledger.roll_back([three], "2")
    found = ledger.read()
    assert (found.champion, found.rejected) == ("2", [three])


def test_models_have_ledgers_of_their_own(tmp_path: Path, ledger: Ledger) -> None:
    ledger.promote("1")
    assert Ledger(Layout(tmp_path), "another model").read().champion is None


@pytest.mark.parametrize("rest", [1, 20, 60])
def test_a_line_cut_off_by_a_crash_is_skipped_and_the_next_is_whole(
    tmp_path: Path, ledger: Ledger, rest: int
) -> None:
    ledger.set_aside([NOISE], "a night")
    ledger.promote("1")
    whole = _file(tmp_path).read_bytes()
    _file(tmp_path).write_bytes(whole + whole.splitlines()[-1][:rest])
    assert ledger.read().champion == "1"
    ledger.promote("2")
    found = ledger.read()
    assert found.champion == "2" and found.set_aside == [NOISE]


def test_an_event_of_a_later_release_is_passed_over(tmp_path: Path, ledger: Ledger) -> None:
    ledger.promote("1")
    with _file(tmp_path).open("a") as file:
        file.write('{"event": "praised", "version": "1"}\n')
    assert ledger.read().champion == "1"
