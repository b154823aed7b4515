"""What is new in a night, and on which side of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.memory import HELD_OUT, NEITHER, TRAIN, Met
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS
from corpusmill.tasks.ingestion.parts import part_bands, part_batches
from corpusmill.tasks.ingestion.past import Past, Relation, relate
from corpusmill.tasks.ingestion.sides import nightly_sides
from corpusmill.tasks.ingestion.verdicts import REASONS, Verdicts

# The segment of a memory that lies in the corpus of a night.
MET = "met"
# Names of files with documents that wait for a person, in the corpus of a night.
WAITING = "waiting.json"
# What the memory keeps: what is learned or held out, what was taken for the same, and what is on
# neither side for good. Near-duplicates of what was met are compared with that, not with each
# other, so that a text that grows day by day is new some day.
_MET = ("", "near_duplicate", "relative_of_both")


@dataclass(frozen=True)
class Night:
    """The documents of a night.

    Attributes:
        verdicts: with the reasons of what is not new.
        held_out: bool (documents,): the side of those that are kept.
        met: what the memory is to keep.
        waiting: names of the files with documents that wait for a person.
    """

    verdicts: Verdicts
    held_out: np.ndarray
    met: Met
    waiting: tuple[str, ...]


def sort_night(
    past: Past,
    parts: Sequence[Path],
    ids: np.ndarray,
    verdicts: Verdicts,
    config: CorpusConfig,
    reserved: np.ndarray | None,
) -> Night:
    """Tells what is new from what was met, and trained on from held out.

    Args:
        ids: uint8 (documents, 16), of all documents of the parts.
        verdicts: on duplicates among them.
        reserved: which documents are of sources that are held out whole, if there are such.
    """
    wanted = config.cleaning.near_duplicates
    bands = np.zeros((len(ids), BANDS), np.uint64)
    if wanted != "off" and len(ids):
        bands = np.concatenate([part_bands(part) for part in parts])
    if reserved is None and any(getattr(each, "held_out", False) for each in config.sources):
        reserved = np.zeros(len(ids), bool)
    similarity = config.cleaning.similarity if wanted == "drop" else None
    relation = relate(past, ids, bands, verdicts.first, similarity, reserved)
    reason = _reasons(verdicts.reason, relation)
    kept = reason == 0
    sizes, sources = _sizes_and_sources(parts)
    held_out = nightly_sides(
        ids,
        verdicts.first,
        relation.side,
        kept,
        sizes=sizes,
        sources=sources,
        fraction=config.validation_fraction if reserved is None else 0.0,
    )
    side = np.where(held_out, HELD_OUT, TRAIN).astype(np.uint8)
    side[relation.side == NEITHER] = NEITHER
    waits = reason == REASONS.index("set_aside")
    met = np.isin(reason, [REASONS.index(each) for each in _MET])
    # Near-copies of what waits were met no more than that was.
    copies = reason == REASONS.index("near_duplicate")
    met &= ~(copies & np.isin(verdicts.first, verdicts.first[waits]))
    return Night(
        replace(verdicts, reason=reason),
        held_out,
        Met(ids[met], side[met], bands[met]),
        _files(parts, waits),
    )


def _files(parts: Sequence[Path], chosen: np.ndarray) -> tuple[str, ...]:
    """The names of the files of these documents."""
    names, first = set[str](), 0
    for part in parts if chosen.any() else ():
        for batch in part_batches(part):
            rows = np.flatnonzero(chosen[first : first + batch.num_rows])
            names.update(batch.column("file").take(pa.array(rows)).to_pylist())
            first += batch.num_rows
    return tuple(sorted(names))


def _reasons(reason: np.ndarray, relation: Relation) -> np.ndarray:
    """Indices into REASONS; duplicates among what is read are called so."""
    codes = {name: code for code, name in enumerate(REASONS)}
    found = np.array([codes[each] for each in relation.reason.tolist()], np.int8)
    return np.where(reason == 0, found, reason)


def _sizes_and_sources(parts: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of each document and number of its source; int64 (documents,)."""
    numbers: dict[str, int] = {}
    sizes, sources = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in parts:
        for batch in part_batches(part):
            sizes.append(np.asarray(pc.binary_length(batch.column("text"))).astype(np.int64))
            names = batch.column("source").to_pylist()
            sources.append(np.array([numbers.setdefault(n, len(numbers)) for n in names], np.int64))
    return np.concatenate(sizes), np.concatenate(sources)
