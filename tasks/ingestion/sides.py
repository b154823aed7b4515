"""Which documents are held out: by their ids alone, so that a side stays as the corpus grows."""

from collections.abc import Sequence

import numpy as np

from corpusmill.storage.corpus.documents import is_held_out
from corpusmill.storage.memory import HELD_OUT, NEITHER

# Of each source a night holds out at least so many bytes, and one document; half of it at most.
NIGHTLY_BYTES = 8_000
_SEVERAL = 3


def first_sides(
    ids: np.ndarray,
    first: np.ndarray,
    kept: np.ndarray,
    fraction: float,
    reserved: np.ndarray | None,
) -> np.ndarray:
    """bool (documents,): which are held out of a first corpus.

    Only if a side would be empty is the document with the smallest id moved to it.

    Args:
        ids: uint8 (documents, 16).
        first: int64 (documents,): the first document of each one's component.
        kept: bool (documents,).
        fraction: the expected share of documents.
        reserved: which are of sources that are held out whole; None where there is no such source,
            and else no other document is held out.
    """
    held_out = is_held_out(ids[first], fraction) if reserved is None else reserved[first]
    rows = np.flatnonzero(kept)
    if held_out[rows].all() or not held_out[rows].any():
        smallest = min(rows.tolist(), key=lambda row: ids[row].tobytes())
        # The documents similar to it move with it.
        family = first == first[smallest]
        if not family[rows].all():
            held_out[family] = ~held_out[family]
        else:
            held_out[smallest] = ~held_out[smallest]
    return held_out


def nightly_sides(
    ids: np.ndarray,
    first: np.ndarray,
    side: np.ndarray,
    kept: np.ndarray,
    *,
    sizes: np.ndarray,
    sources: np.ndarray,
    fraction: float,
) -> np.ndarray:
    """bool (documents,): which are held out of what is new in a night.

    Relatives of what was met are on its side. Of the other components a fraction is held out by
    id, and more of them, by the smallest ids, until each source has one and NIGHTLY_BYTES; but
    never more than half of a source, for there must be something to learn. Where that leaves
    nothing to judge by, the component with the smallest id of all is held out, if there is another.

    Args:
        side: int8 (documents,), as `relate` gives it.
        sizes: int64 (documents,): bytes.
        sources: int64 (documents,): number of the source.
        ids, first, kept, fraction: as for `first_sides`.
    """
    assert not (side[kept] == NEITHER).any()
    held_out: np.ndarray = side == HELD_OUT
    free = kept & (side < 0)
    for source in np.unique(sources[kept]).tolist():
        ours = kept & (sources == source)
        before, others = np.unique(first[ours & held_out]), _by_id(ids, first[ours & free])
        most = max(0, len(np.unique(first[ours])) // 2 - len(before))
        # Of one document nobody can tell whether it is like the others.
        several = min(_SEVERAL, len(others) // 5)
        least = max(several, int(is_held_out(ids[others], fraction).sum()))
        sized = {each: int(sizes[ours & (first == each)].sum()) for each in others[:most]}
        size = int(sizes[ours & held_out].sum())
        count = _how_many(list(sized.values()), least, size, len(before))
        held_out[np.isin(first, others[:count])] = True
    if not held_out[kept].any() and len(components := _by_id(ids, first[free])) > 1:
        held_out[first == components[0]] = True
    return held_out


def _how_many(sizes: Sequence[int], least: int, size: int, before: int) -> int:
    """How many components of these sizes are held out beside so many, of so many bytes, before."""
    for count, more in enumerate(sizes):
        if count >= least and size >= NIGHTLY_BYTES and count + before:
            return count
        size += more
    return len(sizes)


def _by_id(ids: np.ndarray, firsts: np.ndarray) -> list[int]:
    """Components in the order of the ids of their first documents."""
    return sorted(np.unique(firsts).tolist(), key=lambda each: ids[each].tobytes())
