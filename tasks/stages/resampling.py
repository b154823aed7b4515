"""What sums over held-out text might have been of other such text: a bootstrap (Efron 1979)."""

import numpy as np

_CELLS = 1 << 21  # of a matrix of draws at once


def resampled_sums(
    values: np.ndarray, documents: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Sums over as many documents as there are, drawn with replacement.

    Of D documents, each is drawn anew with probability 1/√D block by block too, with replacement.
    The documents drawn vary already by what their blocks vary by, all but a share of 1/D: to draw
    the blocks of all as well would count it twice (Davison and Hinkley 1997, §3.8), and 1/D would
    be right of many documents, of which percentiles are near enough. Of 300 synthetic nights of 3
    to 200 documents, intervals of 95 % held the true change in 90 to 95 % by 1/√D, in 85 to 94 % by
    1/D, and in 92 to 99 %, a third wider, where all blocks were drawn. Of one document alone only
    the blocks are drawn.

    Args:
        values: numbers of each block, such as statistics of two models side by side, which are
            then drawn in pairs; float64 (blocks, values).
        documents: numbers from 0 of the document of each block, rising; int64 (blocks,).

    Returns:
        float64 (resamples, values)
    """
    generator = np.random.default_rng(seed)
    starts = np.flatnonzero(np.diff(documents, prepend=-1))
    totals = np.add.reduceat(values, starts, axis=0)
    count = len(starts)
    sizes = np.diff(starts, append=len(documents))
    sums = np.empty((resamples, values.shape[1]))
    step = max(1, _CELLS // len(values))
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        drawn = draw_times(generator, np.full(rows, count), count)
        sums[first : first + rows] = drawn @ totals
        anew = generator.random(drawn.shape) < count**-0.5
        for document in np.flatnonzero(anew.any(0) & (sizes > 1)).tolist():
            chosen = np.flatnonzero(anew[:, document])
            begin, size = int(starts[document]), int(sizes[document])
            times = drawn[chosen, document]
            blocks = draw_times(generator, times * size, size)
            own = blocks @ values[begin : begin + size]
            sums[first + chosen] += own - times[:, None] * totals[document]
    return sums


def draw_times(generator: np.random.Generator, draws: np.ndarray, count: int) -> np.ndarray:
    """How often each of `count` things is drawn in so many draws; int64 (resamples, count)."""
    rows = np.repeat(np.arange(len(draws)) * count, draws)
    places = rows + generator.integers(count, size=len(rows))
    return np.bincount(places, minlength=len(draws) * count).reshape(len(draws), count)
