"""Intervals of shares of items. No torch."""

import math
from collections.abc import Callable

_Z = 1.959964  # of 95 %


def wilson(right: int, items: int) -> tuple[float, float]:
    """Interval of 95 % of a share (Wilson 1927)."""
    share, z2 = right / items, _Z**2 / items
    middle = (share + z2 / 2) / (1 + z2)
    reach = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def paired(won: int, lost: int, items: int, level: float) -> tuple[float, float]:
    """Interval of the difference of two shares of the same items.

    Of the items on which both differ, the share that was won has an exact interval (Clopper and
    Pearson 1934): the difference's lies wholly below 0 where the exact test of McNemar (1947)
    finds a fall.

    Args:
        won, lost: items that only the first, only the second has right.
        level: chance that the true difference lies outside, such as 0.05.
    """
    differ = won + lost
    if not differ:
        return 0.0, 0.0
    low = _root(lambda p: _at_most(lost, differ, 1 - p), level / 2) if won else 0.0
    high = 1 - _root(lambda p: _at_most(won, differ, 1 - p), level / 2) if lost else 1.0
    return (2 * low - 1) * differ / items, (2 * high - 1) * differ / items


def _at_most(count: int, trials: int, chance: float) -> float:
    """P(X <= count) of a binomial distribution, 0 < chance < 1."""
    logs = math.log(chance), math.log1p(-chance)
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(each + 1)
            - math.lgamma(trials - each + 1)
            + each * logs[0]
            + (trials - each) * logs[1]
        )
        for each in range(count + 1)
    )


def _root(rising: Callable[[float], float], value: float) -> float:
    """Where between 0 and 1 a rising function has this value."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2
