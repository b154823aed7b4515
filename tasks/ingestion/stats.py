"""What happens to the documents of a corpus, in numbers: every dropped one has a reason.

Each partition is counted on its own, and counts are added up in the partitions' order, so that the
samples do not depend on which worker was faster.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.tasks.ingestion.batches import (
    UNDETERMINED,
    DocumentBatch,
    Flaw,
    excerpt_of,
    place_of,
)

SAMPLES = 10
# At most so many files that could not be read are named.
FILES = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """One dropped document, for a person to look at."""

    reason: str
    source: str
    file: str
    place: str
    excerpt: str
    detail: str = ""


@dataclass
class Unread:
    """What one file lost because it could not be read.

    Attributes:
        documents: how many were lost, as far as is known.
        bytes: how many were lost, after decompression, as far as is known.
        doubtful: bytes of text read of a file whose end is missing: how much is lost is unknown.
        detail: place, finding and remedy of its first flaw.
        apart: whether `file` is a pattern, as `*.png`, of files of a kind that is not read.
    """

    source: str
    file: str
    documents: int = 0
    bytes: int = 0
    doubtful: int = 0
    detail: str = ""
    apart: bool = False

    @property
    def weight(self) -> int:
        """Bytes that count against `max_unread`."""
        return 0 if self.apart else self.bytes + self.doubtful


@dataclass
class Stats:
    """Counts of what was read of one partition, or of several together.

    Attributes:
        read: documents and UTF-8 bytes that came in, by (source, unit of count).
        dropped: the same by (source, reason, unit of count).
        edits: how often each repair or edit was made, by its name.
        lengths: documents that came in, by the binary logarithm of their bytes, rounded down.
        samples: up to SAMPLES for each reason, the first ones.
        flaws: those reasons in `dropped` for which documents could not be read.
        unread: what was lost for these reasons, by (source, file), for the files that lost most.
        lost: the totals over all files of `documents`, `bytes` and `doubtful`, and, as `apart`, the
            bytes of files of kinds that are not read.
        told: documents by identified language, of the languages that are wanted.
        losses: dropped documents by (identified language, reason).
    """

    read: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    flaws: set[str] = field(default_factory=set)
    unread: dict[tuple[str, str], Unread] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take_in(self, batch: DocumentBatch) -> None:
        """Counts a batch as it was read."""
        lengths = batch.byte_lengths()
        self.read[batch.source, "documents"] += len(batch)
        self.read[batch.source, "bytes"] += int(lengths.sum())
        self.lengths.update(count_lengths(lengths))

    def drop(
        self, batch: DocumentBatch, out: np.ndarray, reason: str, detail: str = ""
    ) -> DocumentBatch:
        """Counts the documents whose `out`, bool (documents,), is true; returns the others."""
        rows = np.flatnonzero(out)
        if not len(rows):
            return batch
        self.dropped[batch.source, reason, "documents"] += len(rows)
        self.dropped[batch.source, reason, "bytes"] += int(batch.byte_lengths()[rows].sum())
        self._lose(batch.languages.take(pa.array(rows)), reason)
        room = SAMPLES - len(self.samples.setdefault(reason, []))
        for row in rows[: max(0, room)].tolist():
            excerpt = excerpt_of(batch.texts[row].as_py())
            sample = Sample(reason, batch.source, batch.file, batch.place(row), excerpt, detail)
            self.samples[reason].append(sample)
        return batch.filter(~out)

    def drop_rows(self, rows: pa.RecordBatch, reason: str) -> None:
        """Counts documents of a part, dropped for one reason."""
        if not rows.num_rows:
            return
        sizes = pc.binary_length(rows.column("text"))
        for source, documents, size in sums_by(rows.column("source"), sizes):
            self.dropped[source, reason, "documents"] += documents
            self.dropped[source, reason, "bytes"] += size
        self._lose(rows.column("language"), reason)
        samples = self.samples.setdefault(reason, [])
        for row in rows.slice(0, max(0, SAMPLES - len(samples))).to_pylist():
            place, excerpt = place_of(row["unit"], row["number"]), excerpt_of(row["text"])
            samples.append(Sample(reason, row["source"], row["file"], place, excerpt))

    def drop_flaw(self, source: str, file: str, flaw: Flaw) -> None:
        """Counts documents that cannot be read, as read and dropped."""
        for what, count in (("documents", flaw.documents), ("bytes", flaw.bytes or 0)):
            self.read[source, what] += count
            self.dropped[source, flaw.reason, what] += count
            self.lost[what] += count
        self.flaws.add(flaw.reason)
        named = file
        if flaw.apart:
            self.lost["apart"] += flaw.bytes or 0
            named = f"{file}/**/{flaw.apart}"
        new = Unread(source, named, apart=bool(flaw.apart))
        unread = self.unread.setdefault((source, named), new)
        unread.documents += flaw.documents
        unread.bytes += flaw.bytes or 0
        unread.detail = unread.detail or f"{flaw.place}: {flaw.finding}; {flaw.remedy}"
        samples = self.samples.setdefault(flaw.reason, [])
        if len(samples) < SAMPLES:
            detail = f"{flaw.finding}; {flaw.remedy}"
            samples.append(Sample(flaw.reason, source, file, flaw.place, flaw.excerpt, detail))

    def doubt(self, source: str, file: str, size: int) -> None:
        """Counts the bytes that were read of a file whose end is missing."""
        self.unread[source, file].doubtful += size
        self.lost["doubtful"] += size

    def tell(self, languages: pa.StringArray) -> None:
        """Counts documents by identified language."""
        self.told.update(_counts(languages))

    def _lose(self, languages: pa.StringArray, reason: str) -> None:
        for language, count in _counts(languages).items():
            self.losses[language, reason] += count

    def edit(self, name: str, count: int) -> None:
        """Counts `count` edits of one kind."""
        if count:
            self.edits[name] += count

    def add(self, other: "Stats") -> None:
        """Adds the statistics of the documents that follow; of samples, the first are kept."""
        self.read.update(other.read)
        self.dropped.update(other.dropped)
        self.edits.update(other.edits)
        self.lengths.update(other.lengths)
        self.told.update(other.told)
        self.losses.update(other.losses)
        for reason, samples in other.samples.items():
            mine = self.samples.setdefault(reason, [])
            mine.extend(samples[: max(0, SAMPLES - len(mine))])
        self.flaws |= other.flaws
        self.lost.update(other.lost)
        for key, theirs in other.unread.items():
            unread = self.unread.setdefault(
                key, Unread(*key, detail=theirs.detail, apart=theirs.apart)
            )
            unread.documents += theirs.documents
            unread.bytes += theirs.bytes
            unread.doubtful += theirs.doubtful
        self.unread = {(each.source, each.file): each for each in self.most_unread(FILES)}

    def most_unread(self, count: int) -> list[Unread]:
        """Up to `count` files that lost most, in that order, then up to `count` kinds not read."""
        listed = sorted(self.unread.values(), key=lambda each: (each.source, each.file))
        listed.sort(key=lambda each: (each.weight, each.bytes), reverse=True)
        lost = [each for each in listed if not each.apart]
        return lost[:count] + [each for each in listed if each.apart][:count]

    @property
    def weight(self) -> int:
        """Bytes that were lost, or may have been, without files of kinds that are not read."""
        return self.lost["bytes"] - self.lost["apart"] + self.lost["doubtful"]

    @property
    def documents_read(self) -> int:
        """Documents that came in, of all sources together."""
        return sum(count for (_, what), count in self.read.items() if what == "documents")

    @property
    def bytes_read(self) -> int:
        """Bytes that came in, of all sources together: of texts in UTF-8, and of flaws."""
        return sum(count for (_, what), count in self.read.items() if what == "bytes")

    @property
    def bytes_understood(self) -> int:
        """The same without flaws."""
        return self.bytes_read - self.lost["bytes"]

    def dropped_by_reason(self, wanted: str = "documents") -> dict[str, int]:
        """Documents, or bytes, dropped for each reason, in all sources together."""
        reasons: Counter[str] = Counter()
        for (_, reason, what), count in self.dropped.items():
            if what == wanted:
                reasons[reason] += count
        return dict(sorted(reasons.items()))

    def all_samples(self) -> Iterator[Sample]:
        """All samples, by reason."""
        for reason in sorted(self.samples):
            yield from self.samples[reason]

    def to_json(self) -> str:
        """The statistics as JSON text that `from_json` reads."""
        value = {
            "read": [[*key, count] for key, count in sorted(self.read.items())],
            "dropped": [[*key, count] for key, count in sorted(self.dropped.items())],
            "edits": dict(sorted(self.edits.items())),
            "lengths": sorted(self.lengths.items()),
            "samples": [astuple(sample) for sample in self.all_samples()],
            "flaws": sorted(self.flaws),
            "unread": [astuple(unread) for unread in self.most_unread(FILES)],
            "lost": dict(self.lost),
            "told": dict(sorted(self.told.items())),
            "losses": [[*key, count] for key, count in sorted(self.losses.items())],
        }
        return json.dumps(value, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Stats":
        """The statistics that `to_json` wrote."""
        value: dict[str, Any] = json.loads(text)
        stats = cls(edits=Counter(value["edits"]), lengths=Counter(dict(value["lengths"])))
        for source, what, count in value["read"]:
            stats.read[source, what] = count
        for source, reason, what, count in value["dropped"]:
            stats.dropped[source, reason, what] = count
        for fields in value["samples"]:
            sample = Sample(*fields)
            stats.samples.setdefault(sample.reason, []).append(sample)
        stats.flaws, stats.lost = set(value["flaws"]), Counter(value["lost"])
        for fields in value["unread"]:
            unread = Unread(*fields)
            stats.unread[unread.source, unread.file] = unread
        stats.told.update(value["told"])
        for language, reason, count in value["losses"]:
            stats.losses[language, reason] = count
        return stats


def _counts(languages: pa.StringArray) -> dict[str, int]:
    """How often each language occurs, without `und`."""
    counts = {row["values"]: row["counts"] for row in languages.value_counts().to_pylist()}
    counts.pop(UNDETERMINED, None)
    return counts


def sums_by(keys: pa.StringArray, sizes: pa.Array) -> Iterator[tuple[str, int, int]]:
    """For each key: itself, how many documents have it, and the sum of their `sizes` (bytes)."""
    table = pa.table({"key": keys, "bytes": sizes})
    sums = table.group_by("key").aggregate([("bytes", "count"), ("bytes", "sum")])
    for row in sums.to_pylist():
        yield row["key"], row["bytes_count"], row["bytes_sum"]


def count_lengths(lengths: np.ndarray) -> dict[int, int]:
    """How many `lengths` (bytes) have each binary logarithm, rounded down; 0 counts as 1."""
    logarithms, counts = np.unique(np.log2(np.maximum(lengths, 1)).astype(int), return_counts=True)
    return dict(zip(logarithms.tolist(), counts.tolist(), strict=True))
