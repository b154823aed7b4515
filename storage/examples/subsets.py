"""Some of the labelled examples, chosen by hash: the fewer are always among the more."""

import hashlib
from collections.abc import Sequence

import numpy as np


def first_by_hash(ids: Sequence[str], count: int) -> np.ndarray:
    """Numbers, rising, of the `count` examples whose ids have the least hashes; all, if fewer.

    The hash is not that by which sides are cut: of it those in training are the greatest.

    Returns:
        int64 (min(count, examples),)
    """
    ranks = [hashlib.sha256(b"subset:" + each.encode()).digest() for each in ids]
    chosen = sorted(range(len(ids)), key=ranks.__getitem__)[:count]
    return np.sort(np.array(chosen, np.int64))


def share_by_hash(ids: Sequence[str], share: float) -> np.ndarray:
    """As `first_by_hash`, of a share of all examples, but one at least.

    Returns:
        int64 (max(1, round(share * examples)),)
    """
    return first_by_hash(ids, max(1, round(share * len(ids))))
