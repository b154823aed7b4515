"""A night's corpus without some of its documents, which wait for a person."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import (
    FORMAT_VERSION,
    KIND,
    documents_path,
    ids_as_bytes,
    record_batches,
)
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json, read_manifest
from corpusmill.storage.memory import Met, read_met, write_met
from corpusmill.storage.memory import documents_path as met_path
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import SAMPLES
from corpusmill.tasks.ingestion.night import MET


def leave_out(layout: Layout, corpus: Ref, ids: Collection[str]) -> Ref:
    """The corpus of a night without the documents of these ids; itself where there are none."""
    if not ids:
        return corpus
    inputs = {"documents": corpus.digest, "without": digest_json(sorted(ids))}

    def write(directory: Path) -> dict[str, Any]:
        counts = read_manifest(corpus.path)["counts"]
        wanted, sides = pa.array(sorted(ids), pa.string()), dict[str, Any]()
        for split in SPLITS:
            with SplitWriter(directory, split, "zstd") as writer:
                for batch in record_batches(documents_path(corpus.path, split)):
                    writer.add(batch.filter(pc.invert(pc.is_in(batch.column("id"), wanted))))
            sides[split] = writer.counts
        met = read_met(met_path(corpus.path, MET))
        kept = ~np.isin(met.ids.view("V16")[:, 0], ids_as_bytes(wanted).view("V16")[:, 0])
        write_met(met_path(directory, MET), Met(met.ids[kept], met.sides[kept], met.bands[kept]))
        # Of what is left nothing but samples can be said: the figures count what was left out too.
        shutil.copyfile(corpus.path / SAMPLES, directory / SAMPLES)
        return _counts(counts, sides)

    ref, _ = obtain(layout, Spec(KIND, FORMAT_VERSION, inputs, {}), write)
    return ref


def _counts(before: dict[str, Any], sides: dict[str, Any]) -> dict[str, Any]:
    """The same counts, what is left out being dropped as `set_aside`."""
    left_out = {
        key: sum(before[split][key] - sides[split][key] for split in SPLITS)
        for key in ("documents", "bytes")
    }
    counts = {**before, **sides}
    for key, of in (("documents", before["documents"]), ("bytes", before["bytes"])):
        dropped = dict(of["dropped"])
        dropped["set_aside"] = dropped.get("set_aside", 0) + left_out[key]
        counts[key] = {**of, "kept": of["kept"] - left_out[key], "dropped": dropped}
    return counts
