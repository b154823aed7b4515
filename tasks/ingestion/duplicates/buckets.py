"""Documents that agree in a hash, found by sorting, and the pairs among them to be compared."""

import numpy as np

_HALF = np.int64(32)


def sort_into_buckets(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orders documents so that equal hashes stand together, and the first document before others.

    The number of a document replaces the lowest bits of its hash, so that one in-place sort of 8
    bytes per document is enough. Different hashes of n documents thus fall into one bucket in
    about one of 2^64 / n pairs.

    Args:
        hashes: uint64 (documents,), evenly distributed.

    Returns:
        The numbers of the documents, and how many of its bucket stand before each; int64.
    """
    low = np.uint64((1 << max(1, len(hashes)).bit_length()) - 1)
    keys = (hashes & ~low) | np.arange(len(hashes), dtype=np.uint64)
    keys.sort()
    place = np.arange(len(keys))
    first = np.zeros_like(place)
    first[1:] = np.where((keys[1:] ^ keys[:-1]) > low, place[1:], 0)
    return (keys & low).astype(np.int64), place - np.maximum.accumulate(first)


def pairs_with_first(documents: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Each document with the first one of its bucket, as `pack` packs them."""
    later = np.flatnonzero(rank)
    return pack(documents[later - rank[later]], documents[later])


def pairs_with_previous(documents: np.ndarray, rank: np.ndarray, reach: int) -> np.ndarray:
    """Each document with up to `reach` ones before it in its bucket, as `pack` packs them."""
    pairs = [np.empty(0, np.int64)]
    for step in range(1, reach + 1):
        later = np.flatnonzero(rank >= step)
        pairs.append(pack(documents[later - step], documents[later]))
    return np.concatenate(pairs)


def pack(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Pairs of document numbers below 2^31 in one int64 each: they sort by the earlier, then by
    the later one."""
    packed: np.ndarray = earlier << _HALF | later
    return packed


def distinct(pairs: np.ndarray) -> np.ndarray:
    """Packed pairs sorted, each once."""
    # np.unique hashes integers, and such pairs into very few places of its table.
    pairs = np.sort(pairs)
    new = np.ones(len(pairs), np.bool_)
    new[1:] = pairs[1:] != pairs[:-1]
    return pairs[new]


def unpack(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The earlier and the later documents of packed pairs."""
    return pairs >> _HALF, pairs & 0xFFFFFFFF
