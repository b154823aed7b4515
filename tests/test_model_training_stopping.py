"""How processes agree to stop."""

from collections.abc import Iterator

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from corpusmill.model.process import StopRequest
from corpusmill.model.training.stopping import StopTrigger


class _Asked(StopRequest):
    def __init__(self, asked: bool) -> None:
        self._is_asked = asked

    def __bool__(self) -> bool:
        return self._is_asked


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("delayed", "heard"), [(False, [False, True, False]), (True, [False, False, True])]
)
def test_who_is_asked_is_heard_after_this_step_or_the_next(
    accelerator: Accelerator, delayed: bool, heard: list[bool]
) -> None:
    trigger = StopTrigger(accelerator, delayed=delayed)
    agreed = [trigger.check(_Asked(asked), 0.0) for asked in (False, True, False)]
    assert [each is not None and each.stopping for each in agreed] == heard


def test_the_clock_is_agreed_on_to_the_bit(accelerator: Accelerator) -> None:
    trigger = StopTrigger(accelerator, delayed=False)
    agreed = trigger.check(_Asked(False), 0.1 + 1e6)
    assert agreed and agreed.seconds == 0.1 + 1e6
