"""Which side each example is on, and which are dropped for what stands beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.schema import SIDES, Side
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.copies import Copies
from corpusmill.tasks.labelled.gathering import Gathered
from corpusmill.tasks.labelled.labels import Label

TRAIN, VALIDATION, TEST = range(3)
# The sides that keep an example of which there are copies on several come first.
_KEEPERS = {"drop_training": (TEST, VALIDATION, TRAIN), "drop_test": (TRAIN, VALIDATION, TEST)}


@dataclass(frozen=True)
class Overlap:
    """Examples of one side of which there are copies on another.

    Attributes:
        side, other: of these examples, and of the copies.
        same: how many read the same as one there.
        copies: how many do, or nearly do.
        examples: of how many.
    """

    side: Side
    other: Side
    same: int
    copies: int
    examples: int


def assign_sides(gathered: Gathered, copies: Copies, config: ExamplesConfig) -> np.ndarray:
    """The side of each example, an index into SIDES; int8 (examples,).

    What is cut off is a matter of the smallest id in a component alone, whatever the order of the
    files, and all copies are on one side.
    """
    side = np.array([SIDES.index(each) for each in gathered.sides], np.int8)
    shares = {
        TEST: config.test_fraction if config.test is None else 0.0,
        VALIDATION: config.validation_fraction if config.validation is None else 0.0,
    }
    ids = np.array(gathered.ids)
    order = np.argsort(ids, kind="stable")
    _, first, component = np.unique(copies.component[order], return_index=True, return_inverse=True)
    smallest = np.empty(len(ids), np.int64)
    smallest[order] = order[first][component]
    drawn = np.array([int(each[:8], 16) for each in ids[smallest].tolist()]) / 2**32
    free = side == TRAIN
    # Copies of a file that is named are no fresh text: they are dropped, and not cut off.
    free &= ~np.isin(copies.component, copies.component[~free])
    below = 0.0
    for one, share in shares.items():
        chosen = free & (drawn >= below) & (drawn < below + share)
        left = np.unique(drawn[free & (drawn >= below)])
        if share and not chosen.any() and len(left) > 1:
            # Of few examples, one at least.
            chosen = free & (drawn == left[0])
        side[chosen] = one
        free &= ~chosen
        below += share
    return side


def find_overlaps(side: np.ndarray, copies: Copies) -> list[Overlap]:
    """What of validation and test there is on the sides before them.

    Args:
        side: int8 (examples,), as `assign_sides` gives it.
    """
    overlaps = []
    for other, one in combinations(range(len(SIDES)), 2):
        mine, theirs = side == one, side == other
        same = np.isin(copies.alike[mine], copies.alike[theirs])
        near = np.isin(copies.component[mine], copies.component[theirs])
        overlaps.append(
            Overlap(SIDES[one], SIDES[other], int(same.sum()), int(near.sum()), int(mine.sum()))
        )
    return overlaps


def check_overlaps(overlaps: Sequence[Overlap]) -> None:
    """Raises CorpusError where there is one."""
    for each in overlaps:
        if each.copies:
            raise CorpusError(
                f"{each.copies:,} of {each.examples:,} {each.side} examples have a copy in "
                f"{each.other}; expected none: take them out, or set task.on_overlap=drop_training "
                "or drop_test, which does."
            )


def drop(
    side: np.ndarray, gathered: Gathered, copies: Copies, config: ExamplesConfig
) -> np.ndarray:
    """Why each example is dropped, "" for those that are kept; object (examples,)."""
    reason = np.full(len(side), "", object)
    _mark(reason, _conflicting(side, copies.same, gathered.labels), "conflicting_label")
    keepers = _KEEPERS["drop_test" if config.on_overlap == "drop_test" else "drop_training"]
    for place, keeper in enumerate(keepers):
        kept = np.isin(copies.component, copies.component[side == keeper])
        others = np.isin(side, keepers[place + 1 :])
        _mark(reason, kept & others, f"in_{SIDES[keeper]}")
    _mark(reason, _repeated(side, copies.same, reason), "duplicate")
    known = known_labels(side, reason, gathered.labels)
    _mark(reason, (side != TRAIN) & _unknown(gathered.labels, known), "unseen_label")
    if config.limit is not None:
        rows = np.flatnonzero((side == TRAIN) & (reason == ""))
        by_id = sorted(rows.tolist(), key=lambda row: gathered.ids[row])
        reason[by_id[config.limit :]] = "over_limit"
    return reason


def known_labels(side: np.ndarray, reason: np.ndarray, labels: Sequence[Label]) -> set[str]:
    """The labels of training; those of examples over the limit are known too."""
    learned = (side == TRAIN) & np.isin(reason, ["", "over_limit"])
    return {name for row in np.flatnonzero(learned).tolist() for name in names_of(labels[row])}


def names_of(label: Label) -> tuple[str, ...]:
    """The names that a label is; none of a number."""
    if isinstance(label, tuple):
        return label
    return (label,) if isinstance(label, str) else ()


def _mark(reason: np.ndarray, rows: np.ndarray, name: str) -> None:
    reason[rows & (reason == "")] = name


def _conflicting(side: np.ndarray, same: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """Which examples read the same as another of their side that has another label."""
    found: defaultdict[tuple[int, int], set[Label]] = defaultdict(set)
    keys = list(zip(side.tolist(), same.tolist(), strict=True))
    for key, label in zip(keys, labels, strict=True):
        found[key].add(label)
    return np.array([len(found[key]) > 1 for key in keys], bool)


def _repeated(side: np.ndarray, same: np.ndarray, reason: np.ndarray) -> np.ndarray:
    """Which examples read the same as one before them on their side that is not dropped."""
    seen = set[tuple[int, int]]()
    repeated = np.zeros(len(side), bool)
    for row in np.flatnonzero(reason == "").tolist():
        key = int(side[row]), int(same[row])
        repeated[row] = key in seen
        seen.add(key)
    return repeated


def _unknown(labels: Sequence[Label], known: set[str]) -> np.ndarray:
    return np.array([not known.issuperset(names_of(label)) for label in labels], bool)
