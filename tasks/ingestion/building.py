"""From parts to a corpus: drops duplicates across all parts, splits documents and writes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.artifacts import Ref, Spec, find_sound, obtain
from corpusmill.storage.corpus.documents import (
    FORMAT_VERSION,
    KIND,
    bands_path,
    ids_of,
    texts_of,
)
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.memory import Memory, documents_path, write_met
from corpusmill.storage.splits import SPLITS, Split
from corpusmill.tasks.ingestion.batches import WHOLE_FILE, excerpt_of
from corpusmill.tasks.ingestion.cleaning.steps import digest_inputs
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.engines import check_engines, engines_of
from corpusmill.tasks.ingestion.figures import Figures, SimilarPair
from corpusmill.tasks.ingestion.night import MET, WAITING, sort_night
from corpusmill.tasks.ingestion.partitions import FilePartition, plan_partitions
from corpusmill.tasks.ingestion.parts import part_bands, part_batches, part_documents, read_stats
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.ingestion.progress import ProgressLogger
from corpusmill.tasks.ingestion.readers.flaws import not_read
from corpusmill.tasks.ingestion.readers.reading import cut
from corpusmill.tasks.ingestion.sides import first_sides
from corpusmill.tasks.ingestion.sources import ResolvedSource, digest_sources, resolve
from corpusmill.tasks.ingestion.stats import Stats
from corpusmill.tasks.ingestion.verdicts import REASONS, Verdicts, find_duplicates, of_sources

UNKNOWN_LICENCE = "unknown"
SAMPLES = "dropped.jsonl"
# The manifest names at most so many files that could not be read.
_NAMED = 20


@dataclass(frozen=True)
class CorpusPlan:
    """The work that a corpus needs.

    Attributes:
        sources: resolved and digested.
        partitions: each is to become a part; none if the corpus exists already.
        corpus: the corpus, if it exists and is undamaged.
        past: of a night.
        gone: sources that led somewhere on an earlier night.
    """

    sources: tuple[ResolvedSource, ...]
    partitions: tuple[FilePartition, ...]
    corpus: Ref | None
    past: Past | None = None
    gone: tuple[ResolvedSource, ...] = ()

    @property
    def bytes(self) -> int:
        """Of the files that are to be read."""
        return sum(file.size for source in self.sources for file in source.files)


def plan_corpus(layout: Layout, config: CorpusConfig, past: Past | None = None) -> CorpusPlan:
    """Finds and digests the sources, and the corpus already made of the same bytes, if any.

    Args:
        past: of a night, whose corpus is what is new in files that were not met.

    Raises:
        CorpusError: a source that does not exist or matches nothing.
    """
    met = Memory(past.memory.path).files if past else None
    sources = tuple(resolve(config, layout.downloads, layout.file_index, met))
    gone = tuple(source for source in sources if source.gone)
    if past:
        sources = tuple(source for source in sources if source.files)
    ref = find_sound(layout, corpus_spec(sources, config, past))
    if ref:
        return CorpusPlan(sources, (), ref, past, gone)
    return CorpusPlan(sources, partitions_of(sources), None, past, gone)


def partitions_of(sources: Sequence[ResolvedSource]) -> tuple[FilePartition, ...]:
    """The files of these sources in pieces that are read one by one."""
    fragments = (fragment for source in sources for file in source.files for fragment in cut(file))
    return tuple(plan_partitions(fragments))


def corpus_spec(
    sources: Sequence[ResolvedSource], config: CorpusConfig, past: Past | None = None
) -> Spec:
    """What the corpus of these sources is made from."""
    inputs = {
        "sources": digest_sources(sources),
        "cleaning": digest_inputs(config.cleaning),
    }
    if past:
        inputs |= {"memory": past.memory.digest, "kept_out": past.kept_out.digest}
    files = (file for source in sources for file in source.files)
    decides = config.model_dump(mode="json", exclude={"sources"})
    return Spec(KIND, FORMAT_VERSION, inputs, decides | {"engines": engines_of(files, config)})


def build_corpus(
    layout: Layout,
    sources: Sequence[ResolvedSource],
    config: CorpusConfig,
    parts: Sequence[Ref],
    past: Past | None = None,
) -> Ref:
    """Makes the corpus of these parts, one for each partition of the sources, in order.

    The first of several equal documents is kept, and so is the first of several similar ones unless
    `near_duplicates` says otherwise. The split of a document depends on its text alone (on that of
    the first document similar to it, where similar ones are kept), so that it stays the same as the
    corpus grows; only if a split would be empty is the document with the smallest id moved to it.

    Raises:
        CorpusError: fewer than 2 documents kept.
        ConfigError: the parts were made by other packages than are installed here.
    """
    paths = [part.path for part in parts]
    spec = corpus_spec(sources, config, past)
    check_engines(paths, spec.config["engines"])
    ref, _ = obtain(layout, spec, lambda directory: _write(directory, sources, config, paths, past))
    return ref


def _write(
    directory: Path,
    sources: Sequence[ResolvedSource],
    config: CorpusConfig,
    parts: Sequence[Path],
    past: Past | None,
) -> Mapping[str, Any]:
    stats = _stats(sources, config, parts)
    ids = ids_of([part_documents(part) for part in parts])
    verdicts = find_duplicates(parts, ids, config)
    reserved = of_sources(parts, {source.name for source in sources if source.held_out})
    numbered = _firsts(parts)
    if past:
        night = sort_night(past, parts, ids, verdicts, config, reserved)
        verdicts, held_out = night.verdicts, night.held_out
        write_met(documents_path(directory, MET), night.met)
        (directory / WAITING).write_text(json.dumps(night.waiting), encoding="utf-8")
    for part, first in numbered:
        _count_duplicates(stats, part, first, verdicts)
    if past is None:
        kept = verdicts.reason == 0
        if np.count_nonzero(kept) < 2:
            raise _too_few(stats, config)
        held_out = first_sides(ids, verdicts.first, kept, config.validation_fraction, reserved)
    writers, figures = _write_documents(directory, sources, numbered, verdicts, held_out, past)
    figures.pairs = _similar_pairs(parts, verdicts)
    figures.write(directory, stats)
    write_samples(directory, stats)
    similarity = None
    if config.cleaning.near_duplicates != "off":
        similarity = config.cleaning.similarity
        if past is None:
            _write_bands(directory, numbered, verdicts.reason == 0, held_out)
    return _counts(writers, stats, sources) | {"similarity": similarity}


def _stats(sources: Sequence[ResolvedSource], config: CorpusConfig, parts: Sequence[Path]) -> Stats:
    """What was read, but for duplicates."""
    stats = Stats()
    for part in parts:
        stats.add(read_stats(part))
    for source in sources:
        count_apart(stats, source)
    _check_unread(stats, config.max_unread)
    return stats


def _write_documents(
    directory: Path,
    sources: Sequence[ResolvedSource],
    numbered: Sequence[tuple[Path, int]],
    verdicts: Verdicts,
    held_out: np.ndarray,
    past: Past | None,
) -> tuple[Mapping[Split, SplitWriter], Figures]:
    figures = Figures(sources)
    sizes = [part_documents(part).stat().st_size for part, _ in numbered]
    progress = ProgressLogger("merge", sum(sizes))
    # A night's text is read once more, and then kept beside its tokens.
    compression = "zstd" if past else None
    with (
        SplitWriter(directory, "train", compression) as train,
        SplitWriter(directory, "validation", compression) as other,
    ):
        writers: dict[Split, SplitWriter] = {"train": train, "validation": other}
        for (part, first), written in zip(numbered, accumulate(sizes), strict=True):
            _write_part(writers, part, verdicts.reason[first:], held_out[first:], figures)
            progress.update_to(written)
    return writers, figures


def count_apart(stats: Stats, source: ResolvedSource) -> None:
    """Counts the files of kinds that are not read, as is done for members of an archive."""
    for file in source.apart:
        folder, _, place = file.name.partition("/")
        stats.drop_flaw(source.name, folder, not_read(place or WHOLE_FILE, file.name, file.size))


def _firsts(parts: Sequence[Path]) -> list[tuple[Path, int]]:
    """Each part with the number of its first document."""
    firsts, first = [], 0
    for part in parts:
        firsts.append((part, first))
        first += sum(batch.num_rows for batch in part_batches(part))
    return firsts


def _write_part(
    writers: Mapping[Split, SplitWriter],
    part: Path,
    reason: np.ndarray,
    held_out: np.ndarray,
    figures: Figures,
) -> None:
    first = 0
    for batch in part_batches(part):
        rows = slice(first, first + batch.num_rows)
        kept = reason[rows] == 0
        for split in SPLITS:
            mask = kept & (held_out[rows] == (split == "validation"))
            chosen = batch.filter(pa.array(mask))
            writers[split].add(chosen)
            figures.keep(chosen)
        first += batch.num_rows


def _write_bands(
    directory: Path,
    numbered: Sequence[tuple[Path, int]],
    kept: np.ndarray,
    held_out: np.ndarray,
) -> None:
    for split in SPLITS:
        chosen = kept & (held_out == (split == "validation"))
        bands = []
        for part, first in numbered:
            its = part_bands(part)
            bands.append(its[chosen[first : first + len(its)]])
        np.save(bands_path(directory, split), np.concatenate(bands))


def _count_duplicates(stats: Stats, part: Path, first: int, verdicts: Verdicts) -> None:
    for batch in part_batches(part):
        reasons = verdicts.reason[first : first + batch.num_rows]
        for code, name in enumerate(REASONS[1:], 1):
            rows = np.flatnonzero(reasons == code)
            stats.drop_rows(batch.take(pa.array(rows)), name)
        first += batch.num_rows


def _similar_pairs(parts: Sequence[Path], verdicts: Verdicts) -> list[SimilarPair]:
    texts = texts_of([part_documents(part) for part in parts])
    pairs = []
    for kept, other, similarity in verdicts.pairs:
        both = texts.take(np.array([kept, other])).to_pylist()
        pairs.append(SimilarPair(round(similarity, 3), *(excerpt_of(text) for text in both)))
    return pairs


def _counts(
    writers: Mapping[Split, SplitWriter], stats: Stats, sources: Sequence[ResolvedSource]
) -> dict[str, Any]:
    """The counts of a corpus's manifest: in = kept + dropped by reason; and who its sources are."""
    kept = sum(writer.counts["documents"] for writer in writers.values())
    dropped = stats.dropped_by_reason()
    documents = {"in": stats.documents_read, "kept": kept, "dropped": dropped}
    counts: dict[str, Any] = {split: writers[split].counts for split in SPLITS}
    size = sum(writer.counts["bytes"] for writer in writers.values())
    lost = stats.dropped_by_reason("bytes")
    # Bytes that edits removed from the text; below 0 if they added some.
    edited = stats.bytes_read - size - sum(lost.values())
    amounts = {"in": stats.bytes_read, "kept": size, "dropped": lost, "edited": edited}
    unread = dict(stats.lost) | {"files": [asdict(each) for each in stats.most_unread(_NAMED)]}
    licences = {source.name: source.licence or UNKNOWN_LICENCE for source in sources}
    pairs = [source.name for source in sources if source.pairs]
    return counts | {
        "documents": documents,
        "bytes": amounts,
        "unread": unread,
        "licences": licences,
        "pairs": pairs,
    }


def write_samples(directory: Path, stats: Stats) -> None:
    """Writes SAMPLES: up to ten documents for each reason."""
    lines = (json.dumps(asdict(s), ensure_ascii=False) + "\n" for s in stats.all_samples())
    (directory / SAMPLES).write_text("".join(lines), encoding="utf-8")


def _check_unread(stats: Stats, limit: float) -> None:
    weight, wanted = stats.weight, stats.bytes_read - stats.lost["apart"]
    if weight <= limit * wanted:
        return
    worst = stats.most_unread(1)[0]
    raise CorpusError(
        f"{weight:,} of {wanted:,} bytes of text could not be read or are of a file "
        f"whose end is missing, most of them in {worst.file} of {worst.source} ({worst.detail}); "
        f"expected a share of at most {limit:g}; mend what is named there, or raise "
        "corpus.max_unread to leave it out."
    )


def _too_few(stats: Stats, config: CorpusConfig) -> CorpusError:
    reasons = stats.dropped_by_reason()
    dropped = sum(reasons.values())
    read = stats.documents_read
    kept = read - dropped
    remedy = "give more text in corpus.sources"
    if dropped > kept:
        remedy = "mend what was dropped, or give more text in corpus.sources"
    elif kept == 1 and config.text_unit == "file":
        remedy += ', or set corpus.text_unit="paragraph" to make each paragraph a document'
    said = ", ".join(f"{number} {reason}" for reason, number in reasons.items()) or "none"
    flaw = next((sample for sample in stats.all_samples() if sample.detail), None)
    if flaw:
        remedy += f"; in {flaw.file}, {flaw.place}: {flaw.detail}"
    return CorpusError(
        f"{kept} of {read} documents found were kept (dropped: {said}), expected at least 2, "
        f"one to train on and one to validate; {remedy}."
    )
