"""Intervals of shares of items, whether two such shares differ, and means over seeds. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True)
class SeedMean:
    """A figure over seeds.

    Attributes:
        mean: of the seeds.
        half_width: of its interval of 95 %; None of one seed, which says nothing of others.
        seeds: how many there are.
    """

    mean: float
    half_width: float | None
    seeds: int


def over_seeds(figures: Sequence[float], level: float = 0.05) -> SeedMean:
    """Mean of a figure over one seed or more, with the interval of Student's t (1908)."""
    seeds = len(figures)
    if seeds == 1:
        return SeedMean(figures[0], None, 1)
    from scipy.special import stdtrit

    quantile = float(stdtrit(seeds - 1, 1 - level / 2))
    return SeedMean(fmean(figures), quantile * stdev(figures) / math.sqrt(seeds), seeds)


def wilson(right: int, items: int, level: float = 0.05) -> tuple[float, float]:
    """Interval of a share (Wilson 1927), of 95 % unless `level` says otherwise."""
    z = _quantile(level)
    share, z2 = right / items, z**2 / items
    middle = (share + z2 / 2) / (1 + z2)
    reach = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def paired(won: int, lost: int, both: int, items: int, level: float = 0.05) -> tuple[float, float]:
    """Interval of the difference of two shares of the same items.

    Newcombe (1998, Improved confidence intervals for the difference between binomial proportions
    based on paired data), method 10: Wilson's intervals of both, with the correlation of both.

    Args:
        won, lost: items that only the first, only the second has right.
        both: that both have right.
        level: chance that the true difference lies outside.
    """
    neither = items - won - lost - both
    first, second = (both + won) / items, (both + lost) / items
    low1, high1 = wilson(both + won, items, level)
    low2, high2 = wilson(both + lost, items, level)
    phi = _correlation(won, lost, both, neither)
    below = _reach(first - low1, high2 - second, phi)
    above = _reach(high1 - first, second - low2, phi)
    return max(-1.0, first - second - below), min(1.0, first - second + above)


def mcnemar(won: int, lost: int) -> float:
    """Two-sided p of the exact test of McNemar (1947): how likely a difference like this is between
    two that are equally often right.

    Args:
        won, lost: items that only the first, only the second has right.
    """
    differ = won + lost
    ways = [
        math.lgamma(differ + 1) - math.lgamma(each + 1) - math.lgamma(differ - each + 1)
        for each in range(min(won, lost) + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(each - differ * math.log(2)) for each in ways))


def _correlation(won: int, lost: int, both: int, neither: int) -> float:
    """phi, brought nearer to 0 by half an item where it is above."""
    spread = (both + won) * (lost + neither) * (both + lost) * (won + neither)
    if not spread:
        return 0.0
    items = both + won + lost + neither
    excess = both * neither - won * lost
    return (excess if excess < 0 else max(excess - items / 2, 0.0)) / math.sqrt(spread)


def _reach(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(1 - level / 2)
