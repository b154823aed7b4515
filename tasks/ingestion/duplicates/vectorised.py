"""Implementation without numba: numpy over whole batches, the reference for `kernels`."""

from itertools import pairwise

import numpy as np

from corpusmill.tasks.ingestion.duplicates.shingles import SHINGLE_BASE, TOKEN_BASE, WIDTH, mix


def band_hashes(
    data: np.ndarray,
    offsets: np.ndarray,
    symbols: np.ndarray,
    multipliers: np.ndarray,
    addends: np.ndarray,
    bands: int,
) -> np.ndarray:
    """Hashes of bands of MinHash minima.

    Args:
        data: UTF-8, uint8.
        offsets: where each document begins and the last one ends in `data`, int64 (documents + 1,).
        symbols: what `shingles.symbols` gives.
        multipliers, addends: of the permutations, uint32 (bands * rows,).
        bands: into how many bands the minima are cut.

    Returns:
        uint64 (documents, bands); 0 for a document without tokens, and for no other.
    """
    hashes, ends = _shingles(data, offsets, symbols)
    out = np.zeros((len(offsets) - 1, bands), np.uint64)
    filled = np.flatnonzero(np.diff(ends))
    if not len(filled):
        return out
    values = (hashes >> np.uint64(32)).astype(np.uint32)
    rows = len(multipliers) // bands
    for band in range(bands):
        value = np.zeros(len(filled), np.uint64)
        for k in range(band * rows, band * rows + rows):
            minima = np.minimum.reduceat(multipliers[k] * values + addends[k], ends[filled])
            value = mix(value + minima)
        out[filled, band] = np.maximum(value, 1)
    return out


def shingle_sets(
    data: np.ndarray, offsets: np.ndarray, symbols: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The different shingles of each document.

    Args:
        data, offsets, symbols: as in `band_hashes`.

    Returns:
        Hashes of the shingles, none of them 0, uint64 (shingles,), and where each document's begin
        and the last one's end, int64 (documents + 1,).
    """
    hashes, ends = _shingles(data, offsets, symbols)
    hashes = np.maximum(hashes, 1)
    sets = [np.unique(hashes[a:b]) for a, b in pairwise(ends.tolist())]
    lengths = [0, *(len(one) for one in sets)]
    return np.concatenate([np.empty(0, np.uint64), *sets]), np.cumsum(lengths, dtype=np.int64)


def similarities(
    hashes: np.ndarray, ends: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Jaccard similarity of pairs of sets; that of two empty sets is 0.

    Args:
        hashes, ends: as `shingle_sets` returns them.
        left, right: the documents of each pair, int64 (pairs,).

    Returns:
        float64 (pairs,).
    """
    out = np.zeros(len(left))
    for pair, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        one, other = hashes[ends[a] : ends[a + 1]], hashes[ends[b] : ends[b + 1]]
        shared = len(np.intersect1d(one, other, assume_unique=True))
        out[pair] = shared / max(1, len(one) + len(other) - shared)
    return out


def _shingles(
    data: np.ndarray, offsets: np.ndarray, symbols: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all shingles, and where each document's begin and the last one's end."""
    tokens, ends = _tokens(data, offsets, symbols)
    counts = np.diff(ends)
    # A document of fewer tokens is laid out like one of a single full shingle.
    numbers = np.where(counts < WIDTH, np.minimum(counts, 1), counts - WIDTH + 1)
    shingle_ends = np.concatenate([[0], np.cumsum(numbers)])
    document = np.repeat(np.arange(len(counts)), numbers)
    start = ends[document] + np.arange(len(document)) - shingle_ends[document]
    values = tokens[start]
    for j in range(1, WIDTH):
        within = start + j < ends[document + 1]
        values[within] = values[within] * SHINGLE_BASE + tokens[start[within] + j]
    return mix(values), shingle_ends


def _tokens(
    data: np.ndarray, offsets: np.ndarray, symbols: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all tokens, and where each document's begin and the last one's end."""
    utf8 = data[offsets[0] : offsets[-1]]
    codes = np.frombuffer(utf8.tobytes().decode().encode("utf-32-le"), np.uint32)
    begun = np.concatenate([[0], np.cumsum((utf8 & 0xC0) != 0x80)])
    bounds = begun[offsets - offsets[0]]
    found = symbols[np.minimum(codes, len(symbols) - 1)] * (codes < len(symbols))
    in_word = np.concatenate([[False], found > 0])
    opens = (found < 0) | (in_word[1:] & ~in_word[:-1])
    firsts = bounds[:-1][np.diff(bounds) > 0]
    opens[firsts] |= in_word[firsts + 1]
    kept = np.flatnonzero(found)
    starts = np.flatnonzero(opens[kept])
    ends = np.searchsorted(kept[starts], bounds) if len(starts) else np.zeros_like(bounds)
    if not len(starts):
        return np.empty(0, np.uint64), ends
    lengths = np.diff(np.append(starts, len(kept)))
    powers = np.cumprod(np.append(np.uint64(1), np.full(lengths.max() - 1, TOKEN_BASE)))
    behind = np.repeat(starts + lengths, lengths) - 1 - np.arange(len(kept))
    terms = np.abs(found[kept]).astype(np.uint64) * powers[behind]
    return np.add.reduceat(terms, starts), ends
