"""What is said of long work, and when."""

import logging

import pytest

from corpusmill.tasks.ingestion.progress import ProgressLogger


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_it_says_how_far_how_fast_and_how_long(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    progress = ProgressLogger("merge", 4_000_000_000)
    clock[0] = 20.0
    assert progress.update_to(1_000_000_000)
    assert caplog.messages == ["merge: 1,000 of 4,000 MB, 50.0 MB/s, 60 s left"]


def test_where_no_one_knows_the_end_it_says_how_far_and_how_fast(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    progress = ProgressLogger("group 3")
    clock[0] = 10.0
    progress.update_to(25_000_000)
    assert caplog.messages == ["group 3: 25 MB, 2.5 MB/s"]


def test_it_speaks_no_more_than_every_ten_seconds(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    progress = ProgressLogger("merge", 100)
    for second in range(1, 26):
        clock[0] = float(second)
        progress.update_to(second)
    assert len(caplog.messages) == 2
