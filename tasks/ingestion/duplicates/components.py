"""Near-duplicates: which documents are dropped, in favour of which, and which are connected.

Similarity is not transitive: of a chain of versions, each like the one before, the last may have
little in common with the first. So a document is dropped only if it is similar to one that is
kept, its representative, in exact Jaccard similarity and going through the documents in their
order; the whole chain is still one component, to lie on one side of the split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from corpusmill.storage.corpus.texts import Texts
from corpusmill.tasks.ingestion.duplicates.buckets import (
    distinct,
    pack,
    pairs_with_first,
    pairs_with_previous,
    sort_into_buckets,
    unpack,
)
from corpusmill.tasks.ingestion.duplicates.verification import similarities

# How many kept documents before it in a bucket a document is compared with.
_REACH = 8

Pairing = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Components:
    """The relations of near-duplicates, indexed by the number of the document.

    Attributes:
        representative: int64 (documents,): the kept document that it is a duplicate of, which is
            the earliest one found; its own number for one that is kept.
        component: int64 (documents,): the first document of those that similar pairs join it to.
        earlier, later: int64 (pairs,): the pairs found similar, sorted by `later`.
        similarity: float64 (pairs,): their Jaccard similarity.
        compared: pairs whose similarity was computed.
        crowded: how often a document had more than _REACH kept ones before it in a bucket, and so
            was not compared with all of them there.
    """

    representative: np.ndarray
    component: np.ndarray
    earlier: np.ndarray
    later: np.ndarray
    similarity: np.ndarray
    compared: int
    crowded: int


def near_duplicates(
    bands: Sequence[np.ndarray],
    texts: Texts,
    similarity: float,
    exact: np.ndarray,
    num_seen: int = 0,
) -> Components:
    """Finds near-duplicates among all documents and decides which are kept.

    Candidates are documents that agree in a band: each is compared with the first of its bucket,
    then, if it is still kept, with the last _REACH kept ones before it there, and always with the
    representatives of the dropped ones that it is similar to. So time is linear in the size of
    a bucket, and what is dropped was always compared with what it is dropped for.

    Args:
        bands: what `band_hashes` returns for each part, in order; uint64 (documents of the part,
            BANDS), which may be memory-mapped.
        texts: the same documents.
        similarity: Jaccard similarity from which two documents are duplicates.
        exact: int64 (documents,), as `exact_duplicates` returns it.
        num_seen: so many documents at the beginning come from earlier corpora; none is dropped.
    """
    search = _Search(bands, texts, similarity, exact, num_seen)
    search.compare(search.candidates(pairs_with_first))
    search.compare(search.candidates(partial(pairs_with_previous, reach=_REACH)))
    return search.result()


class _Search:
    """The pairs compared so far, and the documents kept according to them."""

    def __init__(
        self,
        bands: Sequence[np.ndarray],
        texts: Texts,
        similarity: float,
        exact: np.ndarray,
        num_seen: int,
    ) -> None:
        self._bands, self._texts, self._similarity = bands, texts, similarity
        self._exact, self._num_seen = exact, num_seen
        self._pairs, self._values = np.empty(0, np.int64), np.empty(0)
        self._representative = exact
        self._crowded = 0

    def candidates(self, pair_up: Pairing) -> np.ndarray:
        """Pairs of documents kept so far that agree in a band."""
        self._crowded = 0
        kept = self._representative == np.arange(len(self._exact))
        pairs = np.empty(0, np.int64)
        for band in range(self._bands[0].shape[1] if self._bands else 0):
            hashes = np.concatenate([part[:, band] for part in self._bands])
            rows = np.flatnonzero(kept & (hashes != 0))
            order, rank = sort_into_buckets(hashes[rows])
            self._crowded += int(np.count_nonzero(rank > _REACH))
            pairs = distinct(np.concatenate([pairs, pair_up(rows[order], rank)]))
        return pairs

    def compare(self, pairs: np.ndarray) -> None:
        """Compares pairs, and then the representatives of what was found similar."""
        while len(pairs := self._new(pairs)):
            values = similarities(*unpack(pairs), self._texts)
            pairs = np.concatenate([self._pairs, pairs])
            order = np.argsort(pairs)
            self._pairs = pairs[order]
            self._values = np.concatenate([self._values, values])[order]
            earlier, later, _ = self._similar()
            self._representative = _choose(earlier, later, self._exact)
            pairs = pack(self._representative[earlier], later)
            pairs = pairs[self._representative[later] == later]

    def result(self) -> Components:
        """The relations of near-duplicates, exact duplicates included."""
        earlier, later, values = self._similar()
        representative = self._representative[self._exact]
        representative[: self._num_seen] = np.arange(self._num_seen)
        component = _join(earlier, later, self._exact)
        return Components(
            representative, component, earlier, later, values, len(self._pairs), self._crowded
        )

    def _new(self, pairs: np.ndarray) -> np.ndarray:
        """The pairs that have not been compared and may change something."""
        pairs = np.setdiff1d(distinct(pairs), self._pairs, assume_unique=True)
        return pairs[unpack(pairs)[1] >= self._num_seen]

    def _similar(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Earlier and later documents of similar pairs and their similarity, sorted by later."""
        similar = self._values >= self._similarity
        earlier, later = unpack(self._pairs[similar])
        order = np.argsort(later, kind="stable")
        return earlier[order], later[order], self._values[similar][order]


def _choose(earlier: np.ndarray, later: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """For each document, the first kept one that it is similar to, or else itself."""
    representative = exact.copy()
    chosen = representative.data
    for one, other in zip(earlier.data, later.data, strict=True):
        if chosen[other] == other and chosen[one] == one:
            chosen[other] = one
    return representative


def _join(earlier: np.ndarray, later: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """For each document, the first one that pairs join it to (union-find, path halving)."""
    component = exact.copy()
    parent = component.data
    for one, other in zip(earlier.data, later.data, strict=True):
        a, b = one, other
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        while parent[b] != b:
            parent[b] = b = parent[parent[b]]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    while (component != (above := component[component])).any():
        component = above
    return component
