"""How far a stage is: in the log, and wherever its caller shows it."""

import logging
import time
from collections.abc import Iterable
from typing import Protocol, TypeVar

from corpusmill.tasks.ingestion.progress import ProgressLogger

R = TypeVar("R")


class Bar(Protocol):
    """A bar that is only looked at: what it cannot show costs the work nothing."""

    def show(self, percent: float, description: str) -> None:
        """Shows both in place of what was shown before."""


class Hidden:
    """A bar that nobody looks at."""

    def show(self, percent: float, description: str) -> None:
        """Shows nothing."""


def gather(results: Iterable[R], sizes: Iterable[int], what: str, bar: Bar) -> list[R]:
    """All results; `results` waits for each, or computes it, when it is asked for.

    Args:
        results: of pieces of work, in their order.
        sizes: bytes that each of them works on.
        what: names the stage.
        bar: is shown how far it is, how fast it goes and how long it will take.
    """
    sizes = list(sizes)
    total, done, began = max(1, sum(sizes)), 0, time.monotonic()
    log, gathered = ProgressLogger(what, total), []
    bar.show(0.0, what)
    for result, size in zip(results, sizes, strict=True):
        gathered.append(result)
        done += size
        if sentence := log.update_to(done):
            bar.show(100.0 * done / total, sentence)
    seconds = time.monotonic() - began
    rate = total / 1e6 / max(seconds, 1e-3)
    sentence = f"{what}: {total / 1e6:,.0f} MB in {seconds:,.1f} s, {rate:,.1f} MB/s"
    logging.getLogger(__name__).info(sentence)
    bar.show(100.0, sentence)
    return gathered
