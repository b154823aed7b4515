"""The memory of a line of models: made with its first corpus, added to by each night."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.artifacts import Ref, Spec, find, obtain
from corpusmill.storage.corpus import documents as corpora
from corpusmill.storage.corpus.documents import (
    bands_path,
    documents_path,
    ids_of,
    record_batches,
)
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json, read_manifest
from corpusmill.storage.memory import (
    FORMAT_VERSION,
    HELD_OUT,
    KIND,
    TRAIN,
    Memory,
    Met,
    MetFile,
    Segment,
    files_path,
    read_met,
    read_segments,
    write_files,
    write_met,
    write_segments,
)
from corpusmill.storage.memory import documents_path as met_path
from corpusmill.storage.splits import SPLITS, Split
from corpusmill.tasks.ingestion.arrays import map_array
from corpusmill.tasks.ingestion.building import UNKNOWN_LICENCE
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.night import MET, WAITING
from corpusmill.tasks.ingestion.sources import ResolvedSource
from corpusmill.tasks.stages.held_out import keep_held_out


def remember(
    layout: Layout,
    before: Ref | None,
    corpus: Ref,
    sources: Sequence[ResolvedSource],
    *,
    shards: Ref,
    held_out: Ref,
) -> Ref:
    """The memory after a corpus was learned.

    Args:
        before: what the line had met; None for its first corpus.
        sources: that the corpus was read from; their files need not be read again.
        shards: of the corpus.
        held_out: the held-out documents of the corpus.
    """
    waiting = {each.identity for each in _waiting(corpus.path, sources)}
    files = {file.identity for source in sources for file in source.files}
    digests = sorted(each.hex() for each in files - waiting)
    inputs = {"corpus": corpus.digest, "shards": shards.digest, "held_out": held_out.digest}
    inputs |= {"before": before.digest} if before else {}
    spec = Spec(KIND, FORMAT_VERSION, inputs, {"files": digest_json(digests)})

    def write(directory: Path) -> dict[str, Any]:
        segments = read_segments(before.path) if before else []
        if before:
            for path in Memory(before.path).paths():
                _link(path, directory / path.name)
        name = f"{len(segments):06d}"
        path, nightly = met_path(directory, name), met_path(corpus.path, MET)
        if nightly.exists():
            _link(nightly, path)
        else:
            write_met(path, _first_met(corpus.path))
        write_files(files_path(directory, name), _met_files(corpus.path, sources, waiting))
        here = Segment(name, corpus.digest, shards.digest, held_out.digest, len(read_met(path)))
        write_segments(directory, [*segments, here])
        return {"met": sum(each.documents for each in (*segments, here)), "new": here.documents}

    ref, _ = obtain(layout, spec, write)
    return ref


def _waiting(corpus: Path, sources: Sequence[ResolvedSource]) -> Iterator[SourceFile]:
    """Files with documents that wait for a person: they are read again, under whatever name."""
    listed = corpus / WAITING
    names = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    wait = _with_parents(names)
    for source in sources:
        for file in source.files:
            if file.name in wait:
                yield file


def _with_parents(names: Iterable[str]) -> set[str]:
    """Names, and those of the archives that they may lie in: these begin them, before a `/`."""
    found = set[str]()
    for each in names:
        name = each
        while name and name not in found:
            found.add(name)
            name = name.rpartition("/")[0]
    return found


def _met_files(
    corpus: Path, sources: Sequence[ResolvedSource], waiting: Collection[bytes]
) -> list[MetFile]:
    """The files that a corpus was read from, with what became of their documents."""
    names = {(source.name, file.name) for source in sources for file in source.files}
    train, held_out = (_documents_by_file(corpus, split, names) for split in SPLITS)
    return [
        MetFile(
            file.identity,
            source.name,
            source.licence or UNKNOWN_LICENCE,
            file.name,
            file.path.absolute(),
            file.size,
            file.digest,
            train[source.name, file.name],
            held_out[source.name, file.name],
            file.identity in waiting,
        )
        for source in sources
        for file in source.files
    ]


def _documents_by_file(
    corpus: Path, split: Split, names: Collection[tuple[str, str]]
) -> Counter[tuple[str, str]]:
    """How many documents of one side each file gave, by source and name."""
    found = Counter[tuple[str, str]]()
    for batch in record_batches(documents_path(corpus, split)):
        origins = pa.table(batch.select(["source", "file"]))
        counted = origins.group_by(["source", "file"]).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            name: str = row["file"]
            # What lies in an archive is called by its name, too.
            while (row["source"], name) not in names and "/" in name:
                name = name.rpartition("/")[0]
            found[row["source"], name] += row["count_all"]
    return found


def recall(layout: Layout, corpus: Ref) -> Ref:
    """The memory of a model that was registered without one: what the corpora of its line say.

    Which files they were read from is not known any more: all are read once again.

    Raises:
        ArtifactError: a corpus of the line is missing or damaged.
    """
    memory: Ref | None = None
    for each in reversed(_chain(layout, corpus)):
        shards, held_out = _shards_of(layout, each), keep_held_out(layout, each)
        memory = remember(layout, memory, each, (), shards=shards, held_out=held_out)
    assert memory
    return memory


def _chain(layout: Layout, corpus: Ref) -> list[Ref]:
    """A corpus and those before it that its documents were new to, the newest first."""
    chain: list[Ref] = []
    digest: str | None = corpus.digest
    while digest:
        chain.append(find(layout, corpora.KIND, digest))
        digest = read_manifest(chain[-1].path)["inputs"].get("seen")
    return chain


def _shards_of(layout: Layout, corpus: Ref) -> Ref:
    """The shards that were made of a corpus.

    Raises:
        ArtifactError: there are none any more.
    """
    for path in sorted(layout.artifacts("shards").glob("*/manifest.json")):
        if read_manifest(path.parent)["inputs"].get("corpus") == corpus.digest:
            return find(layout, "shards", path.parent.name)
    raise ArtifactError(
        f"The shards of the corpus {corpus.digest[:12]} are gone, expected those that the champion "
        "was trained on: restore the store from a copy, or pretrain the model again."
    )


def _first_met(corpus: Path) -> Met:
    """What a first corpus says of its documents."""
    ids, sides, bands = [], [], []
    for split, side in zip(SPLITS, (TRAIN, HELD_OUT), strict=True):
        here = ids_of([documents_path(corpus, split)])
        file = bands_path(corpus, split)
        ids.append(here)
        sides.append(np.full(len(here), side, np.uint8))
        bands.append(map_array(file) if file.exists() else np.zeros((len(here), BANDS), np.uint64))
    return Met(np.concatenate(ids), np.concatenate(sides), np.concatenate(bands))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
