"""Logs the progress of long work: how much is done, how fast, and the time left."""

import logging
import time

_SAY_EVERY = 10.0


class ProgressLogger:
    """Logs every ten seconds how many bytes are done, at what rate.

    Args:
        what: the work, as the log names it.
        total: bytes in all; None if unknown, as for compressed files.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what, self._total = what, total
        self._began = self._said = time.monotonic()

    def update_to(self, done: int) -> str | None:
        """Records that `done` bytes are done; returns the message if one was due and logged."""
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
