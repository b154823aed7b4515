"""Calls side by side: their order, and how one that fails ends those beside it."""

import threading
import time

import pytest

from corpusmill.storage.errors import InputError, ProcessError
from corpusmill.tasks.stages.side_by_side import UntilStopped, side_by_side


def test_what_calls_return_comes_in_their_order() -> None:
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    calls = [lambda each=each: wait(each) for each in (0.05, 0.0, 0.02)]
    assert side_by_side(calls, 3, UntilStopped()) == [0.05, 0.0, 0.02]


def test_no_more_are_under_way_than_may_be() -> None:
    under_way, most = [0], [0]
    lock = threading.Lock()

    def call() -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1

    side_by_side([call] * 6, 2, UntilStopped())
    assert most == [2]


def test_one_that_fails_ends_those_beside_it_and_is_what_one_hears_of() -> None:
    followed, ended = UntilStopped(), threading.Event()

    def learn() -> None:
        try:
            while True:
                followed.follow()
                time.sleep(0.01)
        except ProcessError:
            ended.set()
            raise

    def fail() -> None:
        raise InputError("The rate is too high.")

    with pytest.raises(InputError, match="rate is too high"):
        side_by_side([learn, fail, learn], 2, followed)
    assert ended.wait(10)
