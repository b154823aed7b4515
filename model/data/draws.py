"""Random numbers of a sample: a pure function of (seed, draw, what for).

A draw is the number of a sample in a run. It goes on from epoch to epoch, so that a sequence that
comes again is masked anew, and it does not depend on batches or processes.
"""

import numpy as np

from corpusmill.model.data.order import mix

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seed: int, draws: np.ndarray, purpose: int, count: int) -> np.ndarray:
    """Numbers 0 ≤ u < 1, independent for each draw and purpose; float64 (draws, count).

    Args:
        seed: of the run.
        draws: int64 (draws,).
        purpose: number of a decision, of which each has random numbers of its own.
        count: numbers for each draw.
    """
    key = mix(np.array([seed * 64 + purpose], np.int64).astype(np.uint64) + _GOLDEN)
    states = mix(draws.astype(np.uint64) * _GOLDEN + key)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = mix(states[:, None] + steps) >> np.uint64(11)
    numbers: np.ndarray = bits * 2.0**-53
    return numbers
