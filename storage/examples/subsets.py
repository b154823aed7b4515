"""Some of the labelled examples, chosen by hash: the fewer are always among the more."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpusmill.storage.examples.reading import Examples, read_examples


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


def read_training(directory: Path, share: float) -> Examples:
    """The training examples in `directory`, all or a share of them by hash.

    Raises:
        ArtifactError: as `read_examples`.
    """
    examples = read_examples(directory, "train")
    if share == 1 or not len(examples):
        return examples
    return examples.rows(share_by_hash(examples.ids, share).tolist())
