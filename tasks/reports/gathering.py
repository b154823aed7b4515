"""Gathers what a report shows beside the evaluation: curves, the corpus, the line of versions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpusmill.storage import aliases, metrics
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.ledger import SetAside
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import Settings
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.reports.corpus.findings import gather
from corpusmill.tasks.reports.corpus.words import counted, language, size, unread_sentence
from corpusmill.tasks.reports.outcome import (
    Curve,
    Intake,
    Milestone,
    Outcome,
    Waiting,
    read_outcome,
)

_POINTS = 200  # of a curve, which a page cannot show more of
_VERSIONS = 14  # of the line, a fortnight of nights


def read_curves(journal: Path) -> dict[str, Curve]:
    """Training and held-out loss by step, thinned; a step that was repeated counts once."""
    curves: dict[str, dict[int, float]] = {metrics.TRAIN_LOSS: {}, metrics.VALIDATION_LOSS: {}}
    for record in JournalReader(journal).read():
        for name, curve in curves.items():
            if name in record.get("metrics", {}):
                curve[record["step"]] = record["metrics"][name]
    return {name: _thinned(sorted(curve.items())) for name, curve in curves.items()}


def take_in(corpus: Ref, set_aside: Sequence[SetAside], warnings: Sequence[str] = ()) -> Intake:
    """What became of the documents that were found.

    Args:
        set_aside: what waits for a person by now.
        warnings: sentences about the text that its corpus does not know.
    """
    counts = read_manifest(corpus.path)["counts"]
    documents, lost = counts["documents"], counts.get("unread", {})
    unread = lost.get("files", [])
    return Intake(
        read=documents["in"],
        kept=documents["kept"],
        held_out=counts["validation"]["documents"],
        bytes=sum(counts[split]["bytes"] for split in SPLITS),
        dropped=documents["dropped"],
        unread=[f"{each['file']}: {unread_sentence(each)}" for each in unread],
        waiting=waiting_of(set_aside),
        warnings=[*_unnamed(lost), *_nothing_of(corpus), *warnings],
    )


def _unnamed(lost: Mapping[str, Any]) -> Iterator[str]:
    """Says of files that were not read and that the manifest does not name that there are such."""
    named = lost.get("files", [])
    if sum(each["bytes"] for each in named) < lost.get("bytes", 0):
        yield (
            "Still more files were not read, or not whole: in all "
            f"{counted(lost['documents'], 'document')} and {size(lost['bytes'])} are missing."
        )


def _nothing_of(corpus: Ref) -> Iterator[str]:
    """Says of which sources and languages nothing was kept."""
    findings = gather(corpus.path, None, None)
    for name, why in findings.empty.items():
        yield f"The source {name} gave nothing: {why}."
    for code, why in findings.lost_languages.items():
        yield (
            f"Nothing in {language(code)} was kept ({why}): look at samples of it in the corpus "
            "report, and switch off what does not suit the language."
        )


def waiting_of(set_aside: Sequence[SetAside]) -> list[Waiting]:
    """What waits for a person, file by file, that of the newest night first."""
    nights = dict[str, list[SetAside]]()
    for each in set_aside:
        nights.setdefault(each.night, []).append(each)
    files = dict[str, Waiting]()
    for each in (each for night in reversed(nights.values()) for each in night):
        newer = files.get(each.file)
        if newer:
            files[each.file] = replace(newer, documents=newer.documents + len(each.ids))
        else:
            files[each.file] = Waiting(each.file, len(each.ids), each.why, each.excerpt)
    return list(files.values())


def read_line(
    settings: Settings, outcome: Outcome, rolled_back: Collection[str]
) -> list[Milestone]:
    """The versions before this one whose runs still tell of them, the oldest first.

    Args:
        rolled_back: versions that were promoted and are not of the line any more.
    """
    before = [
        each
        for each in aliases.versions(settings, outcome.model)
        if int(each.version) < int(outcome.version)
    ]
    line = []
    for version in sorted(before, key=lambda each: int(each.version))[-_VERSIONS:]:
        text = aliases.text_of(settings, version, "outcome.json")
        try:
            found = read_outcome(text) if text else None
        except ConfigError:  # an older release's
            continue
        if found and (found.model, found.compares) == (outcome.model, outcome.compares):
            gone = found.version in rolled_back
            champion = found.champion and not gone
            line.append(replace(found.milestone, champion=champion, rolled_back=gone))
    return line


def _thinned(points: list[tuple[int, float]]) -> Curve:
    step = -(-len(points) // _POINTS) or 1
    # Backwards, that the last point is among them.
    return points[::-1][::step][::-1]
