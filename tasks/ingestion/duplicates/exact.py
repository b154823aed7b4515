"""Exact duplicates: documents with the same id."""

import numpy as np

from corpusmill.tasks.ingestion.duplicates.buckets import sort_into_buckets


def exact_duplicates(ids: np.ndarray) -> np.ndarray:
    """For each document, the first one with its id.

    Args:
        ids: 16 evenly distributed bytes each, such as the beginning of a SHA-256, as void
            (documents,) or uint64 (documents, 2).

    Returns:
        int64 (documents,); the document's own number where none before it has the id.
    """
    words = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
    representative = np.arange(len(words))
    # Few share even the leading bits with another, and only those are sorted by the whole id.
    rows, rank = sort_into_buckets(words[:, 0])
    shared = rank > 0
    shared[:-1] |= shared[1:]
    rows = np.sort(rows[shared])
    rows = rows[np.lexsort((words[rows, 0], words[rows, 1]))]
    if len(rows):
        new = np.append(True, (words[rows[1:]] != words[rows[:-1]]).any(axis=1))
        representative[rows] = rows[new][np.cumsum(new) - 1]
    return representative
