"""The laws of lines, held over many random nights."""

import os

import pytest

from corpusmill.tasks.ingestion import past
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS
from tests import nights

# `make nights` plays a thousand and more.
NIGHTS = 240


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not survive a power cut here: to wait for the disk takes half of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.usefixtures("quick")
def test_no_text_is_on_both_sides_of_a_line_and_hardly_any_of_its_versions() -> None:
    tally = nights.play(seed=1, nights=NIGHTS)
    assert not tally.broken, tally.broken[0]
    # Enough was played to tell.
    assert tally.nights >= NIGHTS and tally.pairs > 200
    assert tally.parted <= tally.pairs / 100


@pytest.mark.usefixtures("quick")
def test_a_line_that_has_forgotten_what_it_met_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "remember", lambda _, before, *__, **___: before)
    tally = nights.play(seed=1, nights=nights.NIGHTS)
    assert "texts are learned twice" in tally.broken[0]


@pytest.mark.usefixtures("quick")
def test_relatives_that_take_no_side_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "LEAST_SHARED", BANDS + 1)
    tally = nights.play(seed=1, nights=4 * nights.NIGHTS)
    assert tally.parted > tally.pairs / 20
