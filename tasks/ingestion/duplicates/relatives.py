"""Relatives: documents that share MinHash bands with documents whose text is not at hand."""

import math

import numpy as np

from corpusmill.tasks.ingestion.duplicates.signatures import BANDS, rows_for

# Bands that relatives share at least: the most that misses less than 1 in 100 pairs of a similarity
# of 0.8 or more ("When two documents are relatives" in docs/nights.md).
LEAST_SHARED = 2
# How many documents of a bucket are looked at: of boilerplate there may be any number.
_REACH = 64
# The lowest bits of a hash.
_SOME = np.uint64(0xFFFFF)


def shared_bands(bands: np.ndarray, met: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The most bands that each document shares with one of those chosen among the met.

    Args:
        bands: uint64 (documents, bands); a band of 0 is shared with nothing.
        met: uint64 (met, bands).
        chosen: bool (met,).

    Returns:
        int64 (documents,)
    """
    most = np.zeros(len(bands), np.int64)
    rows = np.flatnonzero(chosen)
    pairs = [np.empty(0, np.int64)]
    for band in range(min(bands.shape[1], met.shape[1])):
        pairs.append(_agreeing(bands[:, band], met[rows, band]))
    packed, counts = np.unique(np.concatenate(pairs), return_counts=True)
    np.maximum.at(most, packed >> 32, counts)
    return most


def near_duplicate_bands(similarity: float) -> int:
    """Bands that two documents of this Jaccard similarity share, as expected, rounded up.

    A band of r rows is shared with probability s^r, so that the share of bands in common estimates
    s (Leskovec et al., chapter 3), where the text itself can not be compared any more.
    """
    return max(LEAST_SHARED, math.ceil(BANDS * similarity ** rows_for(similarity)))


def _agreeing(hashes: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Pairs with the same hash, the document's number in the upper half; int64 (pairs,)."""
    known = np.sort(np.unique(hashes[hashes != 0]))
    if not len(known):
        return np.empty(0, np.int64)
    # To look each up among those that are known takes ten times as long as to pass over most first.
    begun = np.zeros(int(_SOME) + 1, np.bool_)
    begun[known & _SOME] = True
    rows = np.flatnonzero(begun[met & _SOME])
    place = np.minimum(np.searchsorted(known, met[rows]), len(known) - 1)
    rows = rows[known[place] == met[rows]]
    order = rows[np.argsort(met[rows], kind="stable")]
    sorted_met = met[order]
    first = np.searchsorted(sorted_met, hashes)
    count = np.searchsorted(sorted_met, hashes, side="right") - first
    count = np.minimum(np.where(hashes == 0, 0, count), _REACH)
    document = np.repeat(np.arange(len(hashes)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    pairs: np.ndarray = document << 32 | order[np.repeat(first, count) + within]
    return pairs
