"""From files to the examples of each side, and what a manifest says of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.reading import Examples, Labels
from corpusmill.storage.examples.schema import SIDES, Side, ordered_labels
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.copies import find_copies
from corpusmill.tasks.labelled.files import LabelledFile
from corpusmill.tasks.labelled.gathering import Gathered, gather
from corpusmill.tasks.labelled.labels import Label, check_labels
from corpusmill.tasks.labelled.sides import (
    TRAIN,
    Overlap,
    assign_sides,
    check_overlaps,
    drop,
    find_overlaps,
    known_labels,
    names_of,
)


@dataclass(frozen=True)
class Made:
    """The examples that are kept, and the counts of a manifest."""

    examples: Mapping[Side, Examples]
    counts: Mapping[str, Any]


def make(files: Sequence[LabelledFile], config: ExamplesConfig) -> Made:
    """Reads the files, parts the sides and drops what may not be learned or judged by.

    Raises:
        CorpusError: a file or a column that cannot be read, labels that are none, nothing left to
            train on, or copies on several sides that are to be refused.
    """
    gathered = gather(files, config)
    if "train" not in gathered.sides:
        raise _nothing_left(gathered.dropped["train"])
    copies = find_copies(gathered.texts, gathered.pairs, config.similarity)
    side = assign_sides(gathered, copies, config)
    overlaps = find_overlaps(side, copies)
    if config.on_overlap == "refuse":
        check_overlaps(overlaps)
    reason = drop(side, gathered, copies, config)
    counts = _sides(gathered, side, reason)
    if not counts["train"]["kept"]:
        raise _nothing_left(counts["train"]["dropped"])
    learned = np.flatnonzero((side == TRAIN) & np.isin(reason, ["", "over_limit"])).tolist()
    check_labels([gathered.labels[row] for row in learned], config.kind, config.label)
    names = ordered_labels(known_labels(side, reason, gathered.labels))
    kept = {
        each: np.flatnonzero((side == number) & (reason == "")).tolist()
        for number, each in enumerate(SIDES)
    }
    examples = {each: _examples(gathered, rows) for each, rows in kept.items()}
    counts |= {"kind": config.kind, "labels": _labels(names, gathered.labels, kept)}
    unseen = np.flatnonzero(reason == "unseen_label").tolist()
    odd = (name for row in unseen for name in names_of(gathered.labels[row]) if name not in names)
    counts |= {"unseen_labels": dict(sorted(Counter(odd).items()))}
    return Made(examples, counts | {"overlaps": _overlaps(overlaps)})


def _nothing_left(dropped: Mapping[str, int]) -> CorpusError:
    said = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "none"
    return CorpusError(
        f"No example is left to train on (dropped: {said}); expected at least two, of different "
        "labels: give other files in task.train, or mend these."
    )


def _examples(gathered: Gathered, rows: Sequence[int]) -> Examples:
    labels: Labels = [_plain(gathered.labels[row]) for row in rows]  # type: ignore[assignment]
    return Examples(
        ids=[gathered.ids[row] for row in rows],
        texts=[gathered.texts[row] for row in rows],
        pairs=None if gathered.pairs is None else [gathered.pairs[row] for row in rows],
        labels=labels,
        places=[gathered.places[row] for row in rows],
    )


def _plain(label: Label) -> str | float | list[str]:
    return list(label) if isinstance(label, tuple) else label


def _sides(gathered: Gathered, side: np.ndarray, reason: np.ndarray) -> dict[str, Any]:
    """Of each side: in = kept + dropped by reason; what was not read is of its file's side."""
    counts: dict[str, Any] = {}
    for number, name in enumerate(SIDES):
        found = Counter(reason[side == number].tolist())
        kept = found.pop("", 0)
        found.update(gathered.dropped[name])
        dropped = dict(sorted(found.items()))
        counts[name] = {"in": kept + sum(dropped.values()), "kept": kept, "dropped": dropped}
    return counts


def _labels(
    names: Sequence[str], labels: Sequence[Label], kept: Mapping[Side, Sequence[int]]
) -> dict[str, dict[str, int]]:
    """How many examples of each side have each label; in the order they are numbered by."""
    found = {
        side: Counter(name for row in rows for name in names_of(labels[row]))
        for side, rows in kept.items()
    }
    return {name: {side: found[side][name] for side in SIDES} for name in names}


def _overlaps(overlaps: Sequence[Overlap]) -> dict[str, Any]:
    return {
        f"{each.side}_in_{each.other}": {
            "same": each.same,
            "copies": each.copies,
            "examples": each.examples,
        }
        for each in overlaps
    }
