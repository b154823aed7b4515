"""What a corpus report tells: the figures of three artifacts, added up and put in order."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.ingestion.figures import FIGURES, empty_sources, read_figures
from corpusmill.tasks.ingestion.verdicts import OF_NIGHTS
from corpusmill.tasks.reports.corpus.words import counted, plain

READABLE, CLEANED = "Readable", "Cleaned"
EXACT, SIMILAR = "Without exact duplicates", "Without near-duplicates"
_STEPS = (READABLE, CLEANED, EXACT, SIMILAR)
_EXACT = frozenset({"duplicate", "seen"})
_SIMILAR = frozenset({"near_duplicate", "near_duplicate_of_seen"})


@dataclass(frozen=True)
class Amount:
    """Documents, and their bytes where these were measured."""

    documents: int
    bytes: int | None = None

    def __sub__(self, other: "Amount") -> "Amount":
        measured = self.bytes is not None and other.bytes is not None
        left = (self.bytes or 0) - (other.bytes or 0)
        return Amount(self.documents - other.documents, left if measured else None)


@dataclass(frozen=True)
class Reason:
    """Why some documents were dropped.

    Attributes:
        sources: (name, documents) of the sources they came from, the most first.
        samples: rows of `dropped.jsonl`.
        unread: whether they could not be read.
    """

    name: str
    amount: Amount
    sources: list[tuple[str, int]]
    samples: list[dict[str, str]]
    unread: bool = False


@dataclass(frozen=True)
class Step:
    """One step of the funnel: what it took away, and what was left after it."""

    name: str
    lost: Amount
    left: Amount


@dataclass(frozen=True)
class SourceFigures:
    """One source of the corpus; None is not measured."""

    name: str
    licence: str | None
    files: int | None
    read: Amount | None
    kept: Amount | None
    tokens: int | None


@dataclass(frozen=True)
class Findings:
    """All that the report shows.

    Attributes:
        manifest: of the corpus.
        figures: its figures.json; None for documents that were selected from another corpus.
        samples: rows of its dropped.jsonl, by reason.
        tokenizer, shards: `counts` of their manifests, empty where there are none.
    """

    manifest: Mapping[str, Any]
    figures: Mapping[str, Any] | None
    samples: Mapping[str, list[dict[str, str]]] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    shards: Mapping[str, Any] = field(default_factory=dict)

    @property
    def created(self) -> datetime:
        return datetime.fromisoformat(self.manifest["created"])

    @property
    def selected(self) -> bool:
        """Whether these are the new documents of another corpus."""
        return "seen" in self.manifest["inputs"]

    @cached_property
    def read(self) -> Amount:
        """What came in."""
        documents = int(self.manifest["counts"]["documents"]["in"])
        if self.figures is None:
            return Amount(documents)
        return Amount(documents, sum(each["read"]["bytes"] for each in self.figures["sources"]))

    @cached_property
    def kept(self) -> Amount:
        """What stayed, on both sides."""
        sides = (self.train, self.held_out)
        documents = int(self.manifest["counts"]["documents"]["kept"])
        return Amount(documents, sum(side.bytes or 0 for side in sides))

    @property
    def train(self) -> Amount:
        return _amount(self.manifest["counts"]["train"])

    @property
    def held_out(self) -> Amount:
        return _amount(self.manifest["counts"]["validation"])

    @property
    def dropped(self) -> Amount:
        return _total(reason.amount for reason in self.reasons)

    @cached_property
    def edited_away(self) -> int | None:
        """Bytes that edits took out of the text; below 0 where they added some."""
        if self.read.bytes is None or self.kept.bytes is None:
            return None
        return self.read.bytes - self.kept.bytes - (self.dropped.bytes or 0)

    @cached_property
    def reasons(self) -> list[Reason]:
        """Why documents were dropped, the most frequent reason first."""
        counts = self.manifest["counts"]["documents"]["dropped"]
        found = [self._reason(name, documents) for name, documents in counts.items()]
        return sorted(found, key=lambda reason: (-reason.amount.documents, reason.name))

    @cached_property
    def steps(self) -> list[Step]:
        """The funnel; steps that took nothing away are among them."""
        left, steps = self.read, []
        for name in _STEPS:
            lost = _total(each.amount for each in self.reasons if _step_of(each) == name)
            if name == CLEANED and self.edited_away:
                lost = Amount(lost.documents, (lost.bytes or 0) + self.edited_away)
            left = left - lost
            steps.append(Step(name, lost, left))
        return steps

    @property
    def exact_duplicates(self) -> int:
        return sum(each.amount.documents for each in self.reasons if each.name in _EXACT)

    @property
    def near_duplicates(self) -> int:
        return sum(each.amount.documents for each in self.reasons if each.name in _SIMILAR)

    @cached_property
    def sources(self) -> list[SourceFigures]:
        """The sources, the one with the most kept bytes first."""
        tokens = self.shards.get("train", {}).get("sources", {})
        if self.figures is None:
            licences = self.manifest["counts"].get("licences", {})
            names = {**dict.fromkeys(tokens), **licences}
            return [
                SourceFigures(name, licence, None, None, None, _tokens(tokens, name))
                for name, licence in names.items()
            ]
        found = [
            SourceFigures(
                each["name"],
                each["licence"],
                each["files"],
                _amount(each["read"]),
                _amount(each["kept"]),
                _tokens(tokens, each["name"]),
            )
            for each in self.figures["sources"]
        ]
        return sorted(found, key=lambda source: -((source.kept and source.kept.bytes) or 0))

    @property
    def unread(self) -> list[Mapping[str, Any]]:
        """The files that could not be read or not whole, those that lost most first."""
        files: list[Mapping[str, Any]] = self.manifest["counts"].get("unread", {}).get("files", [])
        return files

    @property
    def empty(self) -> dict[str, str]:
        """The sources of which nothing came, and why."""
        return empty_sources(self.figures) if self.figures else {}

    @property
    def languages(self) -> list[tuple[str, Amount]]:
        """(code, what was kept), the most bytes first."""
        languages = self.figures["languages"] if self.figures else {}
        return [(code, _amount(entry)) for code, entry in languages.items()]

    @property
    def lost_languages(self) -> dict[str, str]:
        """The languages of which nothing was kept, and why: those that were asked for in any case,
        others unless they are of single documents among many, or it is for what a line has met."""
        if self.figures is None:
            return {}
        lost = {
            code: f"{counted(each['documents'], 'document')}, dropped most often for "
            f"{plain(each['reason'])}"
            for code, each in self.figures["lost_languages"].items()
            if each["reason"] not in OF_NIGHTS
        }
        cleaning = self.manifest["config"].get("cleaning", {})
        for code in cleaning.get("languages", ()):
            if code not in self.figures["languages"]:
                lost.setdefault(code, "it is asked for, but no document is in it")
        return lost

    @property
    def tokens(self) -> int | None:
        """Training tokens."""
        tokens: int | None = self.shards.get("train", {}).get("tokens")
        return tokens

    @property
    def tokens_by_language(self) -> dict[str, int]:
        """Training tokens."""
        languages = self.shards.get("train", {}).get("languages", {})
        return {code: entry["tokens"] for code, entry in languages.items()}

    @cached_property
    def bytes_per_token(self) -> list[tuple[str, float]]:
        """(language, bytes a token), the best compressed first, by the tokenizer's own check or
        over all training tokens."""
        measured = dict(self.tokenizer.get("bytes_per_token") or {})
        for code, entry in self.shards.get("train", {}).get("languages", {}).items():
            if entry["tokens"]:
                measured.setdefault(code, entry["bytes"] / entry["tokens"])
        return sorted(measured.items(), key=lambda pair: -pair[1])

    def _reason(self, name: str, documents: int) -> Reason:
        samples = self.samples.get(name, [])
        if self.figures is None:
            return Reason(name, Amount(documents), [], samples)
        parts = {
            source["name"]: source["dropped"][name]
            for source in self.figures["sources"]
            if name in source["dropped"]
        }
        measured = sum(part["bytes"] for part in parts.values())
        sources = sorted(
            ((source, part["documents"]) for source, part in parts.items()),
            key=lambda pair: -pair[1],
        )
        unread = name in self.figures["flaws"]
        return Reason(name, Amount(documents, measured), sources, samples, unread)


def gather(corpus: Path, tokenizer: Path | None, shards: Path | None) -> Findings:
    """Reads what the report shows from the artifacts.

    Raises:
        ArtifactError: one of them has no readable manifest.
    """
    return Findings(
        read_manifest(corpus),
        read_figures(corpus) if (corpus / FIGURES).exists() else None,
        read_samples(corpus),
        read_manifest(tokenizer)["counts"] if tokenizer else {},
        read_manifest(shards)["counts"] if shards else {},
    )


def read_samples(corpus: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of the corpus's `dropped.jsonl`, by reason."""
    samples: dict[str, list[dict[str, str]]] = {}
    # Not by splitlines(): it would cut an excerpt at U+0085 or U+2028, which JSON leaves as it is.
    with (corpus / "dropped.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            samples.setdefault(sample["reason"], []).append(sample)
    return samples


def _step_of(reason: Reason) -> str:
    if reason.name in _EXACT:
        return EXACT
    if reason.name in _SIMILAR:
        return SIMILAR
    return READABLE if reason.unread else CLEANED


def _amount(entry: Mapping[str, int]) -> Amount:
    return Amount(entry["documents"], entry["bytes"])


def _tokens(sources: Mapping[str, Mapping[str, int]], name: str) -> int | None:
    return sources[name]["tokens"] if name in sources else None


def _total(amounts: Iterable[Amount]) -> Amount:
    listed = list(amounts)
    unmeasured = any(amount.bytes is None for amount in listed)
    size = None if unmeasured else sum(amount.bytes or 0 for amount in listed)
    return Amount(sum(amount.documents for amount in listed), size)
