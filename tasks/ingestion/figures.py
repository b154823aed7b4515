"""The figures of a corpus that a report shows: `figures.json` beside its documents."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.tasks.ingestion.sources import ResolvedSource
from corpusmill.tasks.ingestion.stats import Stats, count_lengths, sums_by

FIGURES = "figures.json"
_SOME, _SHARE = 10, 0.01


@dataclass(frozen=True)
class SimilarPair:
    """Two documents that were found similar, the first of which was kept.

    Attributes:
        similarity: Jaccard similarity of their shingles.
        first, second: how each begins.
    """

    similarity: float
    first: str
    second: str


@dataclass
class Figures:
    """Counts of the documents that were kept, gathered while they are written."""

    sources: Sequence[ResolvedSource]
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    languages: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    pairs: Sequence[SimilarPair] = ()

    def keep(self, batch: pa.RecordBatch) -> None:
        """Counts these documents, by source, language and length."""
        if not batch.num_rows:
            return
        sizes = pc.binary_length(batch.column("text"))
        self.lengths.update(count_lengths(np.asarray(sizes)))
        for name, counter in (("source", self.kept), ("language", self.languages)):
            for key, documents, size in sums_by(batch.column(name), sizes):
                counter[key, "documents"] += documents
                counter[key, "bytes"] += size

    def write(self, directory: Path, stats: Stats) -> None:
        """Writes `figures.json`."""
        value = {
            "sources": [self._source(source, stats) for source in self.sources],
            "flaws": sorted(stats.flaws),
            "edits": dict(sorted(stats.edits.items())),
            "languages": _pairs(self.languages),
            "lost_languages": self._lost(stats),
            "lengths": {
                "read": sorted(stats.lengths.items()),
                "kept": sorted(self.lengths.items()),
            },
            "similar": [asdict(pair) for pair in self.pairs],
        }
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (directory / FIGURES).write_text(text, encoding="utf-8")

    def _lost(self, stats: Stats) -> dict[str, dict[str, Any]]:
        """Languages with no document kept: how many were dropped, and the most frequent reason."""
        total, lost = sum(stats.told.values()), {}
        for language, documents in stats.told.most_common():
            # The model mistakes a few documents among many for some rare language.
            some = documents >= _SOME or documents >= _SHARE * total
            if some and not self.languages[language, "documents"]:
                reasons = Counter(
                    {r: n for (code, r), n in stats.losses.items() if code == language}
                )
                reason = reasons.most_common(1)[0][0]
                lost[language] = {"documents": documents, "reason": reason}
        return lost

    def _source(self, source: ResolvedSource, stats: Stats) -> dict[str, Any]:
        dropped: dict[str, dict[str, int]] = {}
        for (name, reason, what), count in sorted(stats.dropped.items()):
            if name == source.name:
                dropped.setdefault(reason, {"documents": 0, "bytes": 0})[what] = count
        return {
            "name": source.name,
            "licence": source.licence,
            "files": len(source.files),
            "size": sum(file.size for file in source.files),
            "read": {what: stats.read[source.name, what] for what in ("documents", "bytes")},
            "kept": {what: self.kept[source.name, what] for what in ("documents", "bytes")},
            "dropped": dropped,
        }


def read_figures(corpus: Path) -> dict[str, Any]:
    """The figures of the corpus at this path."""
    figures: dict[str, Any] = json.loads((corpus / FIGURES).read_text(encoding="utf-8"))
    return figures


def empty_sources(figures: Mapping[str, Any]) -> dict[str, str]:
    """The sources with no document in the corpus, and why."""
    why = {}
    for source in figures["sources"]:
        dropped = source["dropped"]
        if source["kept"]["documents"]:
            continue
        if not source["files"]:
            why[source["name"]] = "all its files are read by sources before it in the same way"
        elif not source["read"]["documents"]:
            why[source["name"]] = "its files hold no document"
        else:
            first = max(dropped, key=lambda reason: int(dropped[reason]["documents"]))
            count = source["read"]["documents"]
            why[source["name"]] = f"all {count:,} documents were dropped, most for {first}"
    return why


def _pairs(counter: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    names = sorted({name for name, _ in counter}, key=lambda name: (-counter[name, "bytes"], name))
    return {name: {what: counter[name, what] for what in ("documents", "bytes")} for name in names}
