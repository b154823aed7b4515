"""Says how far a long piece of work is, how fast it goes and how long it will take."""

import logging
import time

_SAY_EVERY = 10.0


class ProgressLogger:
    """Says in the log, every ten seconds, how much of some bytes is done.

    Args:
        what: the work, as the log names it.
        total: bytes in all; None where no one knows, as of compressed files.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what, self._total = what, total
        self._began = self._said = time.monotonic()

    def update_to(self, done: int) -> str | None:
        """Takes note that `done` bytes are done; returns what it then says, if it is time to."""
        now = time.monotonic()
        if now - self._said < _SAY_EVERY:
            return None
        self._said = now
        sentence = f"{self._what}: {self._state(done, done / (now - self._began))}"
        logging.getLogger(__name__).info(sentence)
        return sentence

    def _state(self, done: int, rate: float) -> str:
        speed = f"{rate / 1e6:,.1f} MB/s"
        if self._total is None:
            return f"{done / 1e6:,.0f} MB, {speed}"
        left = max(0, self._total - done) / max(rate, 1.0)
        return f"{done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB, {speed}, {left:,.0f} s left"
