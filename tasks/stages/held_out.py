"""Held-out text: kept for ever by segment, and chosen from to judge by in a bounded time."""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import SCHEMA, Document, documents_path, record_batches
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.splits import SPLITS, Split

KIND = "held_out"
# What is chosen from held-out text, to judge by.
CHOSEN_KIND = "evaluation_set"
_NEW = "new.json"
_BATCH = 64


@dataclass(frozen=True)
class Choice:
    """Of which text documents are chosen, and how much.

    Attributes:
        kind: new or old, or what else there is; part of the identity.
        folders: artifacts with documents.
        split: of them; None for both.
        bytes: of all sources together, in equal shares; more only where one document has more.
        document_bytes: at most, of one document: its beginning.
        stretch: bytes of each of the stretches, as far from each other all over the document, that
            one is cut to instead; None for its beginning.
        by_size: whether long documents are the likelier to be chosen.
        altered: what is made of each, to be read beside it.
    """

    kind: str
    folders: Sequence[Ref]
    split: Split | None
    bytes: int = 1 << 62
    document_bytes: int = 1 << 62
    by_size: bool = False
    altered: Callable[[Document], Document] | None = None
    stretch: int | None = None


class _Row(NamedTuple):
    """Where a document stands: in a batch of the documents of an artifact; and its rank."""

    rank: float
    ref: Ref
    batch: int
    row: int
    size: int


def keep_held_out(layout: Layout, corpus: Ref) -> Ref:
    """The held-out documents of a corpus by themselves, which outlive it."""

    def write(directory: Path) -> dict[str, Any]:
        with SplitWriter(directory, "validation", "zstd") as writer:
            for batch in record_batches(documents_path(corpus.path, "validation")):
                writer.add(batch)
        counts = read_manifest(corpus.path)["counts"]
        kept = {"licences": counts["licences"], "pairs": counts.get("pairs", [])}
        return {"validation": writer.counts, **kept}

    ref, _ = obtain(layout, Spec(KIND, 1, {"corpus": corpus.digest}), write)
    return ref


def choose_documents(
    layout: Layout, choices: Sequence[Choice], without: Collection[str] = ()
) -> Ref:
    """Documents to judge by: of each source those with the least hashes of their ids.

    So the documents chosen stay the same while there are more, but for those that new ones with
    lesser hashes take the place of.

    Args:
        choices: of which the one called new says which documents are new.
        without: ids of documents that are left out.

    Returns:
        An artifact like the held-out side of a corpus; see `new_documents`.
    """
    inputs = {
        f"{choice.kind}-{number}": ref.digest
        for choice in choices
        for number, ref in enumerate(choice.folders)
    }
    config = {
        choice.kind: [choice.split, choice.bytes, choice.document_bytes, choice.by_size]
        + ([choice.altered.__name__] if choice.altered else [])
        + ([choice.stretch] if choice.stretch else [])
        for choice in choices
    }

    def write(directory: Path) -> dict[str, Any]:
        pairs, chosen = _pairs(choices), list[Document]()
        new: list[str] = []
        for choice in choices:
            some = list(_chosen(choice, pairs, without))
            chosen += some
            if choice.altered:
                chosen += map(choice.altered, some)
            if choice.kind == "new":
                new = sorted({document.id for document in some})
        with SplitWriter(directory, "validation") as writer:
            for start in range(0, len(chosen), _BATCH):
                writer.add(_batch(chosen[start : start + _BATCH]))
        (directory / _NEW).write_text(json.dumps(new), encoding="utf-8")
        return {"validation": writer.counts, "pairs": sorted(pairs)}

    spec = Spec(CHOSEN_KIND, 1, inputs, config | {"without": sorted(without)})
    ref, _ = obtain(layout, spec, write)
    return ref


def new_documents(chosen: Path) -> frozenset[str]:
    """The ids of the new ones among documents that were chosen."""
    return frozenset(json.loads((chosen / _NEW).read_text(encoding="utf-8")))


def _pairs(choices: Sequence[Choice]) -> set[str]:
    """The sources that hold pairs."""
    counts = [read_manifest(ref.path)["counts"] for each in choices for ref in each.folders]
    return {name for each in counts for name in each.get("pairs", ())}


def _chosen(choice: Choice, pairs: Collection[str], without: Collection[str]) -> Iterator[Document]:
    ranked: dict[str, list[_Row]] = {}
    for ref in choice.folders:
        for number, batch in enumerate(_batches(ref, choice.split)):
            sizes = pc.binary_length(batch.column("text")).to_pylist()
            names, sources = (batch.column(name).to_pylist() for name in ("id", "source"))
            for row, (name, source, size) in enumerate(zip(names, sources, sizes, strict=True)):
                if name not in without:
                    rank = _rank(name) / (max(1, size) if choice.by_size else 1)
                    ranked.setdefault(source, []).append(_Row(rank, ref, number, row, size))
    share = choice.bytes // max(1, len(ranked))
    for source in sorted(ranked):
        limit = None if source in pairs else choice.document_bytes
        picked = _up_to(share, sorted(ranked[source], key=lambda each: each.rank), limit)
        documents = _read(picked, choice.split)
        for each in picked:
            yield _cut(documents[each], limit, choice.stretch)


def _up_to(share: int, ranked: Sequence[_Row], limit: int | None) -> list[_Row]:
    """The first ones of so many bytes together, each cut to its limit."""
    size, picked = 0, list[_Row]()
    for each in ranked:
        if size >= share:
            break
        picked.append(each)
        size += min(each.size, limit or each.size)
    return picked


def _read(rows: Sequence[_Row], split: Split | None) -> dict[_Row, Document]:
    """Their documents; one batch of them is in memory at a time."""
    wanted: dict[tuple[Ref, int], list[_Row]] = {}
    for each in rows:
        wanted.setdefault((each.ref, each.batch), []).append(each)
    found: dict[_Row, Document] = {}
    for ref in {each.ref for each in rows}:
        for number, batch in enumerate(_batches(ref, split)):
            for each in wanted.get((ref, number), ()):
                values = batch.slice(each.row, 1).to_pylist()[0]
                found[each] = Document(*(values[name] for name in SCHEMA.names))
    return found


def _cut(document: Document, limit: int | None, stretch: int | None) -> Document:
    data = document.text.encode()
    if not limit or len(data) <= limit:
        return document
    if stretch is None:
        return replace(document, text=data[:limit].decode(errors="ignore"))
    count = max(1, limit // stretch)
    # Where in its part of the document is drawn by the id, which so long a one is chosen by, too.
    begins = int(_drawn(f"{document.id} begins") * (len(data) / count - stretch))
    starts = (len(data) * number // count + begins for number in range(count))
    pieces = (data[start : start + stretch].decode(errors="ignore") for start in starts)
    return replace(document, text="\n\n".join(pieces))


def _batches(ref: Ref, split: Split | None) -> Iterator[pa.RecordBatch]:
    for side in (split,) if split else SPLITS:
        yield from record_batches(documents_path(ref.path, side))


def _rank(name: str) -> float:
    """A number drawn by an id from an exponential distribution: divided by weights, its order draws
    without replacement by these (Efraimidis and Spirakis 2006).

    Not the id itself, which decides the sides: held-out ones are the least.
    """
    return -math.log(_drawn(name))


def _drawn(name: str) -> float:
    """A number in (0, 1] that a name draws."""
    return (int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") + 1) / 2**64


def _batch(documents: Sequence[Document]) -> pa.RecordBatch:
    columns: Mapping[str, list[str]] = {
        name: [getattr(each, name) for each in documents] for name in SCHEMA.names
    }
    return pa.record_batch(columns, schema=SCHEMA)
