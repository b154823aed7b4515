"""Labelled examples made in tests, without Prefect."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.storage.artifacts import Ref, Spec, publish
from corpusmill.storage.config import parse
from corpusmill.storage.examples.reading import Examples, read_examples
from corpusmill.storage.examples.schema import SIDES, Side, TaskKind
from corpusmill.storage.examples.writing import write_examples
from corpusmill.storage.layout import Layout
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.stages.examples import make_examples

_WORDS = (
    *("river", "house", "window", "letter", "winter"),
    *("engine", "doctor", "market", "pencil", "summer"),
)


def sentence(number: int) -> str:
    """A text that is no near copy of that of another number."""
    return " ".join(_WORDS[number // 10**place % 10] for place in range(4))


def examples_of(root: Path, corpora: Iterable[Ref] = (), **fields: Any) -> Ref:
    """The artifact of these fields of ExamplesConfig, in a store at `root`."""
    return make_examples(Layout(root), parse(ExamplesConfig, fields), list(corpora))


def kept_in(ref: Ref) -> dict[str, Examples]:
    """The examples of each side."""
    return {side: read_examples(ref.path, side) for side in SIDES}


def texts_in(ref: Ref) -> dict[str, list[str]]:
    """The texts of each side."""
    return {side: examples.texts for side, examples in kept_in(ref).items()}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any] | tuple[str, Any]]) -> str:
    """Writes JSON Lines, of texts and labels or of more; returns the path."""
    records = [
        dict(zip(("text", "label"), row, strict=True)) if isinstance(row, tuple) else row
        for row in rows
    ]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def write_sentences(path: Path, numbers: Iterable[int], labels: str = "ab") -> str:
    """Writes a sentence a number, labelled in turn."""
    return write_rows(path, [(sentence(each), labels[each % len(labels)]) for each in numbers])


# Text, second text, label.
Labelled = tuple[str, str | None, str | float | list[str]]


def publish_examples(
    path: Path, kind: TaskKind, sides: Mapping[Side, Sequence[Labelled]], names: Sequence[str] = ()
) -> Ref:
    """An artifact of just these examples; their labels are called as in `names`, in that order."""

    def write(directory: Path) -> dict[str, Any]:
        for side in SIDES:
            rows = sides.get(side, ())
            texts, pairs, labels = ([row[column] for row in rows] for column in range(3))
            numbers = range(len(rows))
            some: Any = {"texts": texts, "pairs": pairs if any(pairs) else None, "labels": labels}
            examples = Examples(
                ids=[f"{side}-{n}" for n in numbers],
                places=[f"{side}:{n}" for n in numbers],
                **some,
            )
            write_examples(directory, side, examples, kind)
        kept = {side: len(sides.get(side, ())) for side in SIDES}
        counts = {side: {"in": n, "kept": n, "dropped": {}} for side, n in kept.items()}
        return counts | {"kind": kind, "labels": dict.fromkeys(names, 1)}

    spec = Spec("examples", 1, {}, {"kind": kind, "path": str(path)})
    publish(path, spec, write)
    return Ref("examples", spec.digest, path)
