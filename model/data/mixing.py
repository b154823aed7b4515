"""Which source each sample of a run comes from: a pure function of the sample's number.

Every source has an order and epochs of its own; a schedule of weights decides how often it is
drawn from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from corpusmill.model.data.config import MIXING_BLOCK, MixingPhase
from corpusmill.model.data.order import Order


@dataclass(frozen=True)
class _Phase:
    """Samples begin ≤ g < end of a run, end being None for the last; the sources' shares."""

    begin: int
    end: int | None
    shares: tuple[Fraction, ...]

    def sources(self, start: int, count: int) -> np.ndarray:
        """Source of each sample; int64 (count,). `start` counts from the phase's beginning."""
        first, last = start // MIXING_BLOCK, (start + count - 1) // MIXING_BLOCK
        blocks = [_spread(self._quotas(number)) for number in range(first, last + 1)]
        skipped = start - first * MIXING_BLOCK
        return np.concatenate(blocks)[skipped : skipped + count]

    def drawn(self, count: int) -> np.ndarray:
        """Samples drawn from each source among the first `count`; int64 (sources,)."""
        blocks, rest = divmod(count, MIXING_BLOCK)
        whole = np.array(apportion(blocks * MIXING_BLOCK, self.shares), np.int64)
        some = _spread(self._quotas(blocks))[:rest]
        total: np.ndarray = whole + np.bincount(some, minlength=len(self.shares))
        return total

    def _quotas(self, block: int) -> tuple[int, ...]:
        before, after = (apportion(n * MIXING_BLOCK, self.shares) for n in (block, block + 1))
        return tuple(b - a for a, b in zip(before, after, strict=True))


class Mixture:
    """Samples of several sources, numbered one source after the other, in mixed order."""

    def __init__(
        self, sizes: Mapping[str, int], phases: Sequence[MixingPhase], total: int, seed: int
    ) -> None:
        """Mixes.

        Args:
            sizes: samples of each source, in the order of their numbers.
            phases: the schedule; every name in it is a source that has samples.
            total: samples in the whole run.
            seed: of all orders.
        """
        self._first = np.cumsum([0, *sizes.values()])
        self._orders = [Order(size, _own_seed(seed, name)) for name, size in sizes.items()]
        edges = [0, *(round(Fraction(phase.until) * total) for phase in phases[:-1])]
        self._phases = [
            _Phase(begin, end, _shares(phase, list(sizes)))
            for begin, end, phase in zip(edges, [*edges[1:], None], phases, strict=True)
        ]

    def windows(self, start: int, count: int) -> np.ndarray:
        """Numbers of samples start ≤ g < start + count of the run; int64 (count,)."""
        sources = self._sources(start, count)
        result = np.empty(count, np.int64)
        for source, before in enumerate(self._drawn(start).tolist()):
            here = np.flatnonzero(sources == source)
            if len(here):
                drawn = self._orders[source].windows(before, len(here))
                result[here] = self._first[source] + drawn
        return result

    def _sources(self, start: int, count: int) -> np.ndarray:
        stop, pieces = start + count, [np.empty(0, np.int64)]
        for phase in self._phases:
            begin = max(start, phase.begin)
            end = stop if phase.end is None else min(stop, phase.end)
            if begin < end:
                pieces.append(phase.sources(begin - phase.begin, end - begin))
        return np.concatenate(pieces)

    def _drawn(self, samples: int) -> np.ndarray:
        """Samples drawn from each source among the first `samples` of the run."""
        total = np.zeros(len(self._orders), np.int64)
        for phase in self._phases:
            end = samples if phase.end is None else min(samples, phase.end)
            if phase.begin < end:
                total += phase.drawn(end - phase.begin)
        return total


def apportion(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Whole numbers that sum to `total`, each within 1 of its share: largest remainders.

    They do not fall from one multiple of MIXING_BLOCK to the next, for shares of at least
    1/MIXING_BLOCK.
    """
    exact = [total * share for share in shares]
    result = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (result[i] - exact[i], i))
    for index in by_remainder[: total - sum(result)]:
        result[index] += 1
    return result


@lru_cache(maxsize=8)
def _spread(quotas: tuple[int, ...]) -> np.ndarray:
    """Each source as often as its quota says, at even distances; int64 (sum of quotas,)."""
    sources = np.repeat(np.arange(len(quotas)), quotas)
    times = np.concatenate([(np.arange(quota) + 0.5) / max(1, quota) for quota in quotas])
    order = np.argsort(times, kind="stable")
    spread: np.ndarray = sources[order]
    return spread


def _shares(phase: MixingPhase, names: Sequence[str]) -> tuple[Fraction, ...]:
    weights = [Fraction(phase.weights.get(name, 0.0)) for name in names]
    return tuple(weight / sum(weights) for weight in weights)


def _own_seed(seed: int, source: str) -> int:
    """A seed that other sources, added or removed, do not change."""
    return seed ^ int.from_bytes(blake2b(source.encode(), digest_size=8).digest(), "little")
