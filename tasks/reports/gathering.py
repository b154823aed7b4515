"""Gathers what a report shows beside the evaluation: curves, the corpus, the line of versions."""

from collections.abc import Sequence
from pathlib import Path

from corpusmill.storage import aliases, metrics
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.ledger import SetAside
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import Settings
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.reports.corpus.words import unread_sentence
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


def take_in(corpus: Ref, set_aside: Sequence[SetAside]) -> Intake:
    """What became of the documents that were found.

    Args:
        set_aside: what waits for a person by now.
    """
    counts = read_manifest(corpus.path)["counts"]
    documents, unread = counts["documents"], counts.get("unread", {}).get("files", [])
    return Intake(
        read=documents["in"],
        kept=documents["kept"],
        held_out=counts["validation"]["documents"],
        bytes=sum(counts[split]["bytes"] for split in SPLITS),
        dropped=documents["dropped"],
        unread=[f"{each['file']}: {unread_sentence(each)}" for each in unread],
        waiting=waiting_of(set_aside),
    )


def waiting_of(set_aside: Sequence[SetAside]) -> list[Waiting]:
    """What waits for a person, file by file."""
    return [Waiting(each.file, len(each.ids), each.why, each.excerpt) for each in set_aside]


def read_line(settings: Settings, outcome: Outcome) -> list[Milestone]:
    """The versions before this one whose runs still tell of them, the oldest first."""
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
            line.append(found.milestone)
    return line


def _thinned(points: list[tuple[int, float]]) -> Curve:
    step = -(-len(points) // _POINTS) or 1
    # Backwards, that the last point is among them.
    return points[::-1][::step][::-1]
