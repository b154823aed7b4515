"""What a model or a baseline says of labelled examples: `predictions.jsonl`, a line an example.

    {"id": "…", "label": "positive", "scores": {"negative": 0.2, "positive": 0.8}}
    {"id": "…", "label": ["sport", "world"], "scores": {"news": 0.1, "sport": 0.9, "world": 0.4}}
    {"id": "…", "label": 3.5, "value": 3.1}

`label` is what a person says; scores are probabilities, of all labels in their one order. Every
figure of a model is worked out from this file alone. N examples have K labels.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.storage.errors import ArtifactError, InputError
from corpusmill.storage.examples.schema import Side, TaskKind

Label = str | float | list[str]


@dataclass(frozen=True)
class Predictions:
    """Attributes:
    kind: what the labels are.
    labels: their names; none of a regression.
    ids: of the examples.
    gold: what a person says. Classification: the number of the label; int64 (N,). Several
        labels: whether each holds; bool (N, K). Regression: float64 (N,).
    scores: probabilities, float64 (N, K); values of a regression, float64 (N,).
    """

    kind: TaskKind
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    gold: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, numbers: np.ndarray) -> "Predictions":
        """Those of the examples with these numbers, int64 (M,), in this order."""
        ids = tuple(self.ids[number] for number in numbers.tolist())
        return replace(self, ids=ids, gold=self.gold[numbers], scores=self.scores[numbers])

    def same_examples(self, other: "Predictions") -> bool:
        """Whether both are of the same examples, in the same order, with the same gold labels."""
        return (
            (self.kind, self.labels, self.ids) == (other.kind, other.labels, other.ids)
            and self.gold.shape == other.gold.shape
            and bool((self.gold == other.gold).all())
        )


def predictions_path(directory: Path, side: Side) -> Path:
    """The file of the predictions of a side."""
    return directory / side / "predictions.jsonl"


def gold_of(kind: TaskKind, names: tuple[str, ...], labels: Sequence[Label]) -> np.ndarray:
    """Labels of examples as `Predictions.gold` holds them.

    Raises:
        ValueError: a label that is none of `names`, or no number.
    """
    if kind == "regression":
        return np.array(labels, np.float64)
    number = {name: index for index, name in enumerate(names)}
    several = kind == "several"
    wanted = [each if isinstance(each, list) else [each] for each in labels]
    unknown = next((name for each in wanted for name in each if name not in number), None)
    if unknown is not None:
        raise ValueError(f"the label {unknown!r} is none of {', '.join(names)}")
    if not several:
        return np.array([number[str(name)] for [name] in wanted], np.int64)
    gold = np.zeros((len(labels), len(names)), bool)
    for row, each in enumerate(wanted):
        gold[row, [number[str(name)] for name in each]] = True
    return gold


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes the file; its numbers are read back as they are, to the last bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(predictions):
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def read_predictions(path: Path) -> Predictions:
    """The predictions in a file.

    Raises:
        ArtifactError: it is missing or empty, or a line does not hold what the others do.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return _predictions(lines)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{path} holds no predictions ({error}); expected JSON Lines of id, label, and scores "
            "or value, of the same labels in each; predict again."
        ) from error


def mean_of(first: Predictions, second: Predictions) -> Predictions:
    """An ensemble of two: the mean of their probabilities, or of their values.

    Raises:
        InputError: they are of other examples.
    """
    check_same_examples(first, second)
    return replace(first, scores=(first.scores + second.scores) / 2)


def check_same_examples(first: Predictions, second: Predictions) -> None:
    """Raises InputError unless both are of the same examples."""
    if not first.same_examples(second):
        raise InputError(
            f"The predictions are of {len(first)} and of {len(second)} examples that differ in "
            "ids, order or labels; expected the same: predict one file with both models."
        )


def _lines(predictions: Predictions) -> Iterator[dict[str, Any]]:
    names = predictions.labels
    for identity, gold, scores in zip(
        predictions.ids, predictions.gold.tolist(), predictions.scores.tolist(), strict=True
    ):
        if predictions.kind == "regression":
            yield {"id": identity, "label": gold, "value": scores}
            continue
        several = predictions.kind == "several"
        label = [n for n, holds in zip(names, gold, strict=True) if holds] if several else None
        scored = dict(zip(names, scores, strict=True))
        yield {"id": identity, "label": label if several else names[gold], "scores": scored}


def _predictions(lines: list[dict[str, Any]]) -> Predictions:
    if not lines:
        raise ValueError("no line")
    ids, labels = tuple(each["id"] for each in lines), [each["label"] for each in lines]
    kind, names = _kind_of(lines[0])
    if kind == "regression":
        scores = np.array([each["value"] for each in lines], np.float64)
    else:
        if odd := next((n for n, each in enumerate(lines, 1) if tuple(each["scores"]) != names), 0):
            raise ValueError(f"line {odd} scores other labels than line 1")
        scores = np.array([list(each["scores"].values()) for each in lines], np.float64)
    gold = gold_of(kind, names, labels)
    if not (np.isfinite(scores).all() and np.isfinite(gold).all()):
        raise ValueError("a number that is not finite")
    return Predictions(kind, names, ids, gold, scores)


def _kind_of(line: dict[str, Any]) -> tuple[TaskKind, tuple[str, ...]]:
    if "value" in line:
        return "regression", ()
    return ("several" if isinstance(line["label"], list) else "classification"), tuple(
        line["scores"]
    )
