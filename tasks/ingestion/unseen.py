"""The documents of a corpus that a model was not trained on, nor on similar ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.artifacts import Ref, Spec, find, obtain
from corpusmill.storage.corpus.documents import (
    FORMAT_VERSION,
    KIND,
    bands_path,
    documents_path,
    ids_of,
    record_batches,
    texts_of,
)
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.splits import SPLITS, Split
from corpusmill.tasks.ingestion.arrays import map_array
from corpusmill.tasks.ingestion.building import write_samples
from corpusmill.tasks.ingestion.duplicates.components import near_duplicates
from corpusmill.tasks.ingestion.duplicates.exact import exact_duplicates
from corpusmill.tasks.ingestion.stats import Stats


def select_unseen(layout: Layout, corpus: Ref, seen: Ref) -> tuple[Ref, bool]:
    """The documents of `corpus` that are new to a model trained on `seen`, as a corpus.

    Left out are the documents of `seen` and, if it was itself made by this function, of the corpora
    before it; and, if near-duplicates were dropped from `corpus`, documents similar to those. Each
    document stays in its split; either split may be empty, and so may both.

    Returns:
        The reference, and whether the corpus was reused.

    Raises:
        ArtifactError: a corpus of the chain is missing or damaged.
    """
    spec = Spec(
        KIND, FORMAT_VERSION, inputs={"documents": corpus.digest, "seen": seen.digest}, config={}
    )
    return obtain(layout, spec, lambda directory: _write(layout, directory, corpus, seen))


def _write(layout: Layout, directory: Path, corpus: Ref, seen: Ref) -> Mapping[str, Any]:
    chain = _chain(layout, seen)
    reasons = _reasons(corpus, chain)
    stats = Stats()
    counts: dict[str, Any] = {}
    first = 0
    for split in SPLITS:
        start = first
        with SplitWriter(directory, split) as writer:
            for batch in record_batches(documents_path(corpus.path, split)):
                here = reasons[first : first + batch.num_rows]
                for code, reason in ((1, "seen"), (2, "near_duplicate_of_seen")):
                    stats.drop_rows(_with_place(batch).filter(pa.array(here == code)), reason)
                writer.add(batch.filter(pa.array(here == 0)))
                first += batch.num_rows
        bands, new = _bands(corpus.path, split), reasons[start:first] == 0
        if len(bands) and new.any():
            np.save(bands_path(directory, split), bands[new])
        counts[split] = writer.counts
    write_samples(directory, stats)
    dropped = stats.dropped_by_reason()
    kept = sum(counts[split]["documents"] for split in SPLITS)
    documents = {"in": first, "kept": kept, "dropped": dropped}
    said = read_manifest(corpus.path)["counts"]
    return counts | {
        "documents": documents,
        "licences": said["licences"],
        "pairs": said.get("pairs", []),
        "similarity": said["similarity"],
    }


def _chain(layout: Layout, seen: Ref) -> list[Path]:
    """`seen` and the corpora that it was selected against."""
    paths: list[Path] = []
    digest: str | None = seen.digest
    while digest:
        ref = find(layout, KIND, digest)
        paths.append(ref.path)
        digest = read_manifest(ref.path)["inputs"].get("seen")
    return paths


def _reasons(corpus: Ref, chain: Sequence[Path]) -> np.ndarray:
    """int8 (documents,): 0 for a new document, 1 for one seen before, 2 for one similar to that."""
    seen_ids = ids_of([documents_path(path, split) for path in chain for split in SPLITS])
    ids = ids_of([documents_path(corpus.path, split) for split in SPLITS])
    reasons = np.isin(ids.view("V16")[:, 0], seen_ids.view("V16")[:, 0]).astype(np.int8)
    cleaning = _cleaning(corpus)
    if cleaning.get("near_duplicates") != "drop" or not len(seen_ids) or reasons.all():
        return reasons
    if len({_similarity(path) for path in [*chain, corpus.path]}) > 1:
        return reasons  # bands made for another similarity have nothing in common
    everything = [*chain, corpus.path]
    splits = [(path, split) for path in everything for split in SPLITS]
    bands = [_bands(path, split) for path, split in splits]
    if any(len(each) != _documents(*split) for each, split in zip(bands, splits, strict=True)):
        return reasons  # an older corpus was not searched for similar documents
    before = sum(len(each) for each in bands[: 2 * len(chain)])
    found = near_duplicates(
        [each for each in bands if len(each)],
        texts_of([documents_path(path, split) for path, split in splits]),
        cleaning["similarity"],
        exact_duplicates(np.concatenate([seen_ids, ids])),
        num_seen=before,
    )
    similar = (found.representative < before)[before:]
    reasons[similar & (reasons == 0)] = 2
    return reasons


def _cleaning(corpus: Ref) -> dict[str, Any]:
    cleaning: dict[str, Any] = read_manifest(corpus.path)["config"].get("cleaning", {})
    return cleaning


def _bands(path: Path, split: Split) -> np.ndarray:
    """MinHash bands of one split; empty if near-duplicates were not looked for."""
    file = bands_path(path, split)
    return map_array(file) if file.exists() else np.empty((0, 0))


def _similarity(path: Path) -> float | None:
    similarity: float | None = read_manifest(path)["counts"].get("similarity")
    return similarity


def _documents(path: Path, split: Split) -> int:
    return int(read_manifest(path)["counts"][split]["documents"])


def _with_place(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The documents of a corpus, whose place within their files is no longer known."""
    whole = pa.repeat(pa.scalar("whole file", pa.string()), batch.num_rows)
    numbers = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    return batch.append_column("unit", whole).append_column("number", numbers)
