"""Pairs of texts that say the same, such as a sentence and its translation.

In a corpus a pair is one document, so that cleaning, duplicates and the choice of sides treat it as
one: its source, SEPARATOR and its target. Sources of a corpus hold either pairs or texts, and its
manifest names those with pairs.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.manifest import read_manifest

# PARAGRAPH SEPARATOR: white space to all rules, and kept by them.
SEPARATOR = "\u2029"


def join_pair(source: str, target: str) -> str:
    """The document of a pair."""
    return SEPARATOR.join(side.replace(SEPARATOR, "\n").strip() for side in (source, target))


def part_pair(text: str) -> tuple[str, str]:
    """Source and target of a document that is a pair."""
    source, found, target = text.partition(SEPARATOR)
    assert found, "a document of a source with pairs is none"
    return source, target


def pair_sources(corpus: Path) -> frozenset[str]:
    """The sources of a corpus that hold pairs."""
    return frozenset(read_manifest(corpus)["counts"].get("pairs", ()))


def part_pairs(batch: pa.RecordBatch, sources: Collection[str]) -> pa.RecordBatch:
    """The same documents; a pair of these sources is two that follow each other, of one id."""
    is_pair = np.array(pc.is_in(batch.column("source"), pa.array(list(sources), pa.string())))
    if not is_pair.any():
        return batch
    sides: list[str] = []
    for text, pair in zip(batch.column("text").to_pylist(), is_pair.tolist(), strict=True):
        sides += part_pair(text) if pair else (text,)
    parted = batch.take(pa.array(np.repeat(np.arange(len(is_pair)), 1 + is_pair)))
    place = batch.schema.get_field_index("text")
    return parted.set_column(place, batch.schema.field(place), pa.array(sides, pa.large_string()))
