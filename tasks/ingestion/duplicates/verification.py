"""How similar two documents really are: the exact Jaccard similarity of their shingles."""

from itertools import pairwise

import numpy as np

from corpusmill.storage.corpus.texts import Texts, buffers_of
from corpusmill.tasks.ingestion.duplicates.engine import engine
from corpusmill.tasks.ingestion.duplicates.shingles import symbols
from corpusmill.tasks.ingestion.progress import ProgressLogger

# Text held at a time; two longer documents are compared with each other alone.
_BATCH_BYTES = 16 << 20


def similarities(earlier: np.ndarray, later: np.ndarray, texts: Texts) -> np.ndarray:
    """Jaccard similarity of the sets of shingles of pairs of documents.

    Args:
        earlier, later: numbers of the documents of each pair, int64 (pairs,), sorted by `earlier`.
        texts: all documents.

    Returns:
        float64 (pairs,), from 0 to 1; 0 where neither document has a token.
    """
    change = np.append(True, earlier[1:] != earlier[:-1])[: len(earlier)]
    cost = np.cumsum(texts.byte_lengths(later) + texts.byte_lengths(earlier) * change)
    batch = cost // _BATCH_BYTES
    progress = ProgressLogger("near-duplicates, comparing", int(cost[-1]) if len(cost) else 0)
    bounds = [*np.flatnonzero(np.diff(batch, prepend=-1)).tolist(), len(earlier)]
    out = np.empty(len(earlier))
    for start, end in pairwise(bounds):
        out[start:end] = _compare(earlier[start:end], later[start:end], texts)
        progress.update_to(int(cost[end - 1]))
    return out


def _compare(earlier: np.ndarray, later: np.ndarray, texts: Texts) -> np.ndarray:
    documents, places = np.unique(np.concatenate([earlier, later]), return_inverse=True)
    batch = texts.take(documents)
    hashes, ends = engine().shingle_sets(*buffers_of(batch), symbols())
    left, right = places[: len(earlier)], places[len(earlier) :]
    values: np.ndarray = engine().similarities(hashes, ends, left, right)
    return values
