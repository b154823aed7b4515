"""What stands in the column of labels, as labels."""

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.schema import TaskKind

Label = str | float | tuple[str, ...]

# More than that, or as good as one for each example, are no classes that could be learned.
MOST_LABELS = 1000
_FEW_LABELS = 50
_LEAST_EXAMPLES = 2


class NoNumberError(ValueError):
    """A label of a regression is no finite number."""


def label_of(value: Any, kind: TaskKind, renamed: Mapping[str, str]) -> Label | None:
    """The label that a value is; None where it is none, as for null, NaN and white space.

    Several labels are sorted, each once; an empty list says that no label is right.

    Raises:
        NoNumberError: of a regression.
    """
    if kind == "several":
        return _several(value, renamed)
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    name = _name(value)
    if name is None or kind == "classification":
        return name if name is None else renamed.get(name, name)
    try:
        number = float(renamed.get(name, name))
    except ValueError as error:
        raise NoNumberError(f"found {name!r}, expected a number") from error
    if not math.isfinite(number):
        raise NoNumberError(f"found {name!r}, expected a finite number")
    return number


def check_labels(labels: Sequence[Label], kind: TaskKind, column: str) -> None:
    """Refuses what cannot be learned as labels.

    Args:
        labels: of the examples of training, of which there is at least one.
        column: that they stand in.

    Raises:
        CorpusError: fewer than two labels, or as many as if they were none.
    """
    if kind == "regression":
        return
    counts: Counter[Label] = Counter()
    for label in labels:
        counts.update(label if isinstance(label, tuple) else [label])
    if len(counts) > MOST_LABELS or (
        len(counts) > _FEW_LABELS and counts.total() < _LEAST_EXAMPLES * len(counts)
    ):
        raise CorpusError(
            f"The column {column!r} holds {len(counts):,} different labels in {len(labels):,} "
            f"examples; expected at most {MOST_LABELS:,}, most of them several times; did you mean "
            "task.kind=regression, or another column in task.label?"
        )
    least = 1 if kind == "several" else 2
    if len(counts) < least:
        found = f"only the label {next(iter(counts))!r}" if counts else "no label"
        raise CorpusError(
            f"The column {column!r} holds {found} in {len(labels):,} examples; expected at least "
            f"{'one' if least == 1 else 'two different ones'}: give more examples, or name "
            "another column in task.label."
        )


def _several(value: Any, renamed: Mapping[str, str]) -> tuple[str, ...] | None:
    if isinstance(value, list):
        parts = value
    else:
        name = _name(value)
        if name is None:
            return None
        parts = name.split(",")
    names = {name for part in parts if (name := _name(part)) is not None}
    return tuple(sorted({renamed.get(name, name) for name in names}))


def _name(value: Any) -> str | None:
    """A label as it is written: 1 and 1.0 of JSON are the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        # JSON Lines give whole numbers as these too.
        return str(int(value)) if value.is_integer() else repr(value)
    if value is None or isinstance(value, (list, dict)):
        return None
    text = unicodedata.normalize("NFC", str(value)).replace("\ufeff", "").strip()
    return text or None
