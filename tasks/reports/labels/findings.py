"""What the report of a fine-tuning is made from: all that a page shows, worked out and cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.model.files import HEAD
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.reliability import Bin, reliability, unscaled
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.config import read_json
from corpusmill.storage.examples.neighbours import read_neighbours
from corpusmill.storage.examples.predictions import Label, Predictions
from corpusmill.storage.examples.reading import Examples, read_examples
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.reports.corpus.words import one_line
from corpusmill.tasks.stages.answers import Row, System, metric_of, table_of
from corpusmill.tasks.stages.learning_curve import Learner, Point
from corpusmill.tasks.stages.mistakes import Mistake, named, worst_mistakes
from corpusmill.tasks.stages.neighbours import make_neighbours
from corpusmill.tasks.stages.search import Tried
from corpusmill.tasks.stages.slices import OfLabel, OfLength, by_label, by_length, confusion

TFIDF: Learner = "tfidf"
_MISTAKES = 20
_CHARACTERS = 280  # of a text that is shown


@dataclass(frozen=True)
class Shown:
    """A mistake as a person sees it.

    Attributes:
        text: of the example, cut.
        nearest: the training example most like it, its label and how like it is; None where none
            is like it at all.
    """

    mistake: Mistake
    text: str
    nearest: tuple[str, str, float] | None


@dataclass(frozen=True)
class Findings:
    """All that the page of a fine-tuning says.

    Attributes:
        name, version: of the model.
        promotion: whether it was promoted.
        side: that all but the table of validation is of: test, or validation where there is none.
        decides: the figure by which models are chosen.
        rows: the model and its opponents by side.
        said: what the model answers on `side`.
        before, after: how reliable it is, before and after scaling; none of numbers.
        lengths: the figure by length, beside TF-IDF's.
        labels: how each label is found; none of numbers.
        confused: int64 (gold, said); None of numbers and of several labels.
        curves: by share of the labels; one point each, or none, where no others were measured.
        counts: of the manifest of the examples.
        flow_run_url, mlflow_url: pages of the run.
        tried: the trials of a search, the best first.
    """

    name: str
    version: str
    promotion: Promotion
    side: Side
    decides: str
    rows: Mapping[Side, Sequence[Row]]
    said: Predictions
    before: Sequence[Bin]
    after: Sequence[Bin]
    lengths: Sequence[OfLength]
    labels: Sequence[OfLabel]
    confused: np.ndarray | None
    curves: Mapping[Learner, Sequence[Point]]
    mistakes: Sequence[Shown]
    counts: Mapping[str, Any]
    flow_run_url: str
    mlflow_url: str
    tried: Sequence[Tried] = ()


def gather(
    layout: Layout,
    candidate: System,
    opponents: Sequence[System],
    curves: Mapping[Learner, Sequence[Point]],
    examples: Ref,
    model: Ref,
    **about: Any,
) -> Findings:
    """Works out what a page shows.

    Args:
        opponents: in the order of the table.
        about: of the version: name, version, promotion, flow_run_url, mlflow_url and tried.
    """
    side: Side = "test" if candidate.test else "validation"
    said = candidate.of(side)
    assert said is not None
    numbers = said.kind == "regression"
    metric = metric_of(candidate)
    some = read_examples(examples.path, side)
    beside = next((each.of(side) for each in opponents if each.name == TFIDF), None)
    sides: tuple[Side, ...] = ("validation", "test")
    head = read_json(HeadConfig, model.path / HEAD)
    return Findings(
        side=side,
        decides=metric.name,
        rows={each: table_of(candidate, opponents, each) for each in sides},
        said=said,
        before=() if numbers else reliability(unscaled(said, head.temperature)),
        after=() if numbers else reliability(said),
        lengths=by_length(said, beside, some, metric),
        labels=[] if numbers else by_label(said),
        confused=confusion(said) if said.kind == "classification" else None,
        curves=curves,
        mistakes=_mistakes(layout, said, examples, side, some),
        counts=read_manifest(examples.path)["counts"],
        **about,
    )


def cut(text: str) -> str:
    """The beginning of a text on one line, and how long it is where that is not all."""
    # White space is made one of no more than may be seen.
    line = one_line(text[: 4 * _CHARACTERS])
    if len(text) <= 4 * _CHARACTERS and len(line) <= _CHARACTERS:
        return line
    return f"{line[:_CHARACTERS].rstrip()}… ({len(text):,} characters)"


def _mistakes(
    layout: Layout, said: Predictions, examples: Ref, side: Side, some: Examples
) -> list[Shown]:
    found = worst_mistakes(said, _MISTAKES)
    if not found:
        return []
    ids = [said.ids[each.row] for each in found]
    neighbours = read_neighbours(make_neighbours(layout, examples, side, ids).path)
    train = read_examples(examples.path, "train")
    number = {identity: row for row, identity in enumerate(train.ids)}
    shown = []
    for each in found:
        neighbour = neighbours.get(said.ids[each.row])
        nearest = None
        if neighbour:
            row = number[neighbour.nearest]
            nearest = _text(train, row), _label(train.labels[row]), neighbour.cosine
        shown.append(Shown(each, _text(some, each.row), nearest))
    return shown


def _text(examples: Examples, row: int) -> str:
    text = cut(examples.texts[row])
    return f"{text} ↔ {cut(examples.pairs[row])}" if examples.pairs else text


def _label(label: Label) -> str:
    if isinstance(label, list):
        return named(label)
    return label if isinstance(label, str) else f"{label:.3g}"
