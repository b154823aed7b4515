"""The corpus: documents in two Arrow files, each with the source that it came from.

`train.arrow` and `validation.arrow` are uncompressed Arrow IPC files with the columns id, source
and text; `dropped.jsonl` holds a few samples of what was left out for each reason.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pyarrow as pa

from storage.artifacts import Ref, Spec, find, obtain, read_manifest
from storage.corpus.candidates import Candidate, Flaw, excerpt_of
from storage.corpus.readers.everything import read
from storage.corpus.sources import (
    CorpusConfig,
    Source,
    SourceFile,
    digest_sources,
    resolve,
    suffix_of,
)
from storage.errors import ArtifactError, CorpusError
from storage.layout import Layout

KIND = "corpus"
FORMAT_VERSION = 1
SCHEMA = pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.large_string())])

Split = Literal["train", "validation"]
Sides = Mapping[Split, dict[str, int]]
SPLITS: tuple[Split, Split] = ("train", "validation")

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1 << 14
_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus.

    Attributes:
        id: first 32 hex digits of the SHA-256 of its UTF-8 bytes: the same text, the same id.
        source: name of the file or dataset that it came from.
        text: the text itself, with LF newlines.
    """

    id: str
    source: str
    text: str


def build_corpus(layout: Layout, config: CorpusConfig) -> tuple[Ref, bool]:
    """Makes the corpus of these sources, or finds the one already made of the same bytes.

    Documents are dropped as `empty` (only white space), `too_short` or `duplicate` (the exact text
    came before) and, with `on_bad_text="drop"`, as `bad_encoding`, `bad_json`, `no_text` or
    `truncated`. A document's side depends on its text alone, so that it stays there as the corpus
    grows; only if one side would be empty does the document with the smallest id change over.

    Returns:
        The reference, and whether the corpus was reused.

    Raises:
        CorpusError: a source that cannot be read as it is, or fewer than 2 documents kept.
    """
    sources = resolve(config.sources)
    spec = Spec(
        KIND,
        FORMAT_VERSION,
        inputs={"sources": digest_sources(sources)},
        config=config.model_dump(mode="json", exclude={"sources"}),
    )
    return obtain(layout, spec, lambda directory: _write_corpus(directory, sources, config))


def select_unseen(layout: Layout, corpus: Ref, seen: Ref) -> tuple[Ref, bool]:
    """The documents of `corpus` that no model trained on `seen` has met, as a corpus.

    `seen` and, where it was itself made by this function, the corpora before it count as met.
    Documents keep their side; either side may be empty, and so may both.

    Returns:
        The reference, and whether the corpus was reused.

    Raises:
        ArtifactError: a corpus of the chain is missing or damaged.
    """
    spec = Spec(
        KIND, FORMAT_VERSION, inputs={"documents": corpus.digest, "seen": seen.digest}, config={}
    )
    return obtain(layout, spec, lambda directory: _write_unseen(layout, directory, corpus, seen))


def read_documents(path: Path, split: Split) -> Iterator[Document]:
    """Yields the documents of one side of the corpus at `path`, memory-mapped, batch by batch.

    Raises:
        ArtifactError: the file is missing or is no Arrow file.
    """
    for batch in _batches(path / f"{split}.arrow"):
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for row in zip(*columns, strict=True):
            yield Document(*row)


def document_ids(path: Path) -> Iterator[str]:
    """Yields the ids of all documents of the corpus at `path`, training side first.

    Raises:
        ArtifactError: a file is missing or is no Arrow file.
    """
    for split in SPLITS:
        for batch in _batches(path / f"{split}.arrow"):
            yield from batch.column("id").to_pylist()


def document_id(utf8: bytes) -> str:
    """The id of the document with these bytes."""
    return hashlib.sha256(utf8).hexdigest()[:32]


def split_of(identity: str, validation_fraction: float) -> Split:
    """The side on which the document with this id belongs."""
    return "validation" if int(identity[:8], 16) / 2**32 < validation_fraction else "train"


class _SplitWriter:
    """Writes one side in record batches of bounded size, and counts it."""

    def __init__(self, directory: Path, split: Split) -> None:
        self._writer = pa.ipc.new_file(str(directory / f"{split}.arrow"), SCHEMA)
        self._rows: list[tuple[str, str, bytes]] = []
        self._pending_bytes = 0
        self.counts = {"documents": 0, "characters": 0, "bytes": 0}

    def __enter__(self) -> "_SplitWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, identity: str, source: str, text: str, utf8: bytes) -> None:
        self._rows.append((identity, source, utf8))
        self._pending_bytes += len(utf8)
        self.counts["documents"] += 1
        self.counts["characters"] += len(text)
        self.counts["bytes"] += len(utf8)
        if self._pending_bytes >= _BATCH_BYTES or len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)
            ]
            self._writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
        self._rows, self._pending_bytes = [], 0


class _Dropped:
    """Counts what is left out, and keeps the first samples for each reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._samples: list[dict[str, str]] = []

    def add(self, reason: str, source: str, place: str, text: str) -> None:
        self.counts[reason] += 1
        if self.counts[reason] <= _SAMPLES:
            sample = {"source": source, "place": place, "reason": reason}
            self._samples.append(sample | {"excerpt": excerpt_of(text)})

    def write(self, directory: Path) -> None:
        lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in self._samples)
        (directory / "dropped.jsonl").write_text("".join(lines), encoding="utf-8")


def _write_corpus(
    directory: Path, sources: Sequence[Source], config: CorpusConfig
) -> Mapping[str, Any]:
    dropped = _Dropped()
    with _SplitWriter(directory, "train") as train, _SplitWriter(directory, "validation") as other:
        writers: dict[Split, _SplitWriter] = {"train": train, "validation": other}
        for source, candidate, identity in _kept(sources, config, dropped):
            split = split_of(identity, config.validation_fraction)
            writers[split].add(identity, source.name, candidate.text, candidate.utf8)
    sides: Sides = {split: writer.counts for split, writer in writers.items()}
    if sum(side["documents"] for side in sides.values()) < 2:
        raise _too_few(sources, config, sides, dropped.counts)
    for full, empty in (SPLITS, SPLITS[::-1]):
        if sides[empty]["documents"] == 0:
            sides = _move_smallest(directory, full, empty)
    dropped.write(directory)
    return _counts(sides, dropped.counts)


def _kept(
    sources: Sequence[Source], config: CorpusConfig, dropped: _Dropped
) -> Iterator[tuple[Source, Candidate, str]]:
    """Yields the candidates that become documents, with their ids; counts the others."""
    met: set[bytes] = set()
    for source in sources:
        for item in read(source, config):
            if isinstance(item, Flaw):
                if config.on_bad_text == "refuse":
                    raise _refusal(source, item)
                dropped.add(item.reason, source.name, item.place, item.excerpt)
                continue
            identity = document_id(item.utf8)
            key = bytes.fromhex(identity)
            reason = _reason_to_drop(item.text, config.min_characters)
            if reason is None and key in met:
                reason = "duplicate"
            if reason:
                dropped.add(reason, source.name, item.place, item.text)
            else:
                met.add(key)
                yield source, item, identity


def _reason_to_drop(text: str, min_characters: int) -> str | None:
    if not text or text.isspace():
        return "empty"
    return "too_short" if len(text) < min_characters else None


def _move_smallest(directory: Path, full: Split, empty: Split) -> Sides:
    """Takes the document with the smallest id over to the empty side, and counts anew."""
    smallest = min(document_ids(directory))
    everything = directory / "everything.arrow"
    (directory / f"{full}.arrow").rename(everything)
    with _SplitWriter(directory, full) as many, _SplitWriter(directory, empty) as one:
        for batch in _batches(everything):
            for identity, source, text in zip(*batch.to_pydict().values(), strict=True):
                writer = one if identity == smallest else many
                writer.add(identity, source, text, text.encode())
    everything.unlink()
    return {full: many.counts, empty: one.counts}


def _write_unseen(layout: Layout, directory: Path, corpus: Ref, seen: Ref) -> Mapping[str, Any]:
    met = _met(layout, seen)
    dropped = _Dropped()
    sides = {}
    for split in SPLITS:
        with _SplitWriter(directory, split) as writer:
            for document in read_documents(corpus.path, split):
                if document.id in met:
                    dropped.add("seen", document.source, document.id, document.text)
                else:
                    utf8 = document.text.encode()
                    writer.add(document.id, document.source, document.text, utf8)
        sides[split] = writer.counts
    dropped.write(directory)
    return _counts(sides, dropped.counts)


def _met(layout: Layout, seen: Ref) -> set[str]:
    """Ids of all documents of `seen` and of the corpora that it was selected against."""
    met: set[str] = set()
    digest: str | None = seen.digest
    while digest:
        ref = find(layout, KIND, digest)
        met.update(document_ids(ref.path))
        digest = read_manifest(ref.path)["inputs"].get("seen")
    return met


def _counts(sides: Sides, dropped: Counter[str]) -> dict[str, Any]:
    kept = sum(side["documents"] for side in sides.values())
    documents = {
        "in": kept + dropped.total(),
        "kept": kept,
        "dropped": dict(sorted(dropped.items())),
    }
    return {"documents": documents, **{split: sides[split] for split in SPLITS}}


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of a corpus; "
            "build the corpus again."
        ) from error


def _refusal(source: Source, flaw: Flaw) -> CorpusError:
    where = source.path if isinstance(source, SourceFile) else source.name
    return CorpusError(
        f"{where}, {flaw.place}: {flaw.finding}; {flaw.remedy}, "
        'or set corpus.on_bad_text="drop" to leave such documents out.'
    )


def _too_few(
    sources: Sequence[Source],
    config: CorpusConfig,
    sides: Sides,
    dropped: Counter[str],
) -> CorpusError:
    kept = sum(side["documents"] for side in sides.values())
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(dropped.items()))
    remedy = "give more text in corpus.sources"
    files = [source for source in sources if isinstance(source, SourceFile)]
    texts = [file for file in files if (suffix_of(file.path) or "").startswith(".txt")]
    if kept == 1 and config.text_unit == "file" and len(texts) == len(sources):
        remedy = 'set corpus.text_unit="paragraph" to make each paragraph a document'
    elif dropped.total() > kept:
        remedy = "mend what was dropped, or give more text in corpus.sources"
    return CorpusError(
        f"{kept} of {kept + dropped.total()} documents found were kept (dropped: "
        f"{reasons or 'none'}), expected at least 2, one to train on and one to validate; {remedy}."
    )
