"""What a night must know of the text before it: what its line has met, and what is kept out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.memory import HELD_OUT, NEITHER, TRAIN, Memory
from corpusmill.tasks.ingestion.duplicates.relatives import (
    LEAST_SHARED,
    near_duplicate_bands,
    shared_bands,
)


@dataclass(frozen=True)
class KeptOut:
    """Documents that no night may learn from.

    Attributes:
        ids: by reason, such as `set_aside`.
        bands: of those whose relatives are kept out too; uint64 (documents, bands).
    """

    ids: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    bands: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """Digest of all of it."""
        listed = {reason: sorted(each.hex() for each in ids) for reason, ids in self.ids.items()}
        return digest_json([listed, None if self.bands is None else self.bands.tolist()])


@dataclass(frozen=True)
class Past:
    """What was there before.

    Attributes:
        memory: what the line has met.
        kept_out: what no night may learn from.
    """

    memory: Ref
    kept_out: KeptOut

    @property
    def forgotten(self) -> frozenset[str]:
        """Ids of documents that are neither replayed nor judged by any more."""
        return frozenset(each.hex() for each in self.kept_out.ids.get("forgotten", ()))


@dataclass(frozen=True)
class Relation:
    """How documents stand to the past.

    Attributes:
        reason: of each document, why it is not new: "" where it is.
        side: int8 (documents,): TRAIN or HELD_OUT, as a relative that was met, or a source that is
            held out; NEITHER if that is both; -1 if it is none.
    """

    reason: np.ndarray
    side: np.ndarray


def relate(
    past: Past,
    ids: np.ndarray,
    bands: np.ndarray,
    component: np.ndarray,
    similarity: float | None,
    reserved: np.ndarray | None = None,
) -> Relation:
    """Finds the documents that are new, and the side that relatives give to some of them.

    Args:
        ids: uint8 (documents, 16).
        bands: uint64 (documents, bands); of no columns where near-duplicates are not looked for.
        component: int64 (documents,): the first of the documents similar to each other.
        similarity: from which near-duplicates of what was met are dropped; None if they are kept.
        reserved: bool (documents,): of sources that are held out whole, so that a relative of what
            was trained on is on neither side.
    """
    met = Memory(past.memory.path).met
    reason = np.full(len(ids), "", dtype=object)
    on_train, on_held_out = (
        shared_bands(bands, met.bands, met.sides == side) for side in (TRAIN, HELD_OUT)
    )
    if similarity is not None:
        near = np.maximum(on_train, on_held_out) >= near_duplicate_bands(similarity)
        reason[near] = "near_duplicate_of_seen"
    is_held_out = on_held_out >= LEAST_SHARED
    if reserved is not None:
        is_held_out |= reserved
    side = _sides(on_train >= LEAST_SHARED, is_held_out, component)
    reason[(side == NEITHER) & (reason == "")] = "relative_of_both"
    keys = ids.view("V16")[:, 0]
    reason[np.isin(keys, met.ids.view("V16")[:, 0])] = "seen"
    kept_out = past.kept_out
    for name, those in kept_out.ids.items():
        listed = np.frombuffer(b"".join(sorted(those)), "V16")
        reason[np.isin(keys, listed)] = name
    if kept_out.bands is not None:
        every = np.ones(len(kept_out.bands), bool)
        reason[shared_bands(bands, kept_out.bands, every) >= LEAST_SHARED] = "forgotten"
    return Relation(reason, side)


def _sides(on_train: np.ndarray, on_held_out: np.ndarray, component: np.ndarray) -> np.ndarray:
    """The side of each document's component; int8 (documents,)."""
    size = len(component)
    train, held_out = (
        np.bincount(component, weights=each, minlength=size)[component] > 0
        for each in (on_train, on_held_out)
    )
    side = np.full(size, -1, np.int8)
    side[train], side[held_out], side[train & held_out] = TRAIN, HELD_OUT, NEITHER
    return side
