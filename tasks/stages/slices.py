"""Where a model is good and where it is not: by length, by label, and which it takes for which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.model.tasks.metrics import Metric, predicted
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.reading import Examples
from corpusmill.tasks.stages.predictions import Figure, figure_with_interval

_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class OfLength:
    """Examples of about one length.

    Attributes:
        shortest, longest: characters of these.
        examples: their number.
        figure, beside: of the model, and of what it is compared with.
    """

    shortest: int
    longest: int
    examples: int
    figure: Figure
    beside: Figure | None


@dataclass(frozen=True)
class OfLabel:
    """One label.

    Attributes:
        gold, said: how many examples have it, and of how many it is said.
        right: how many of both.
    """

    name: str
    gold: int
    said: int
    right: int

    @property
    def precision(self) -> float:
        """The share of what is said to have it that has it; 0 of none."""
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        """The share of what has it that is said to; 0 of none."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        every = self.gold + self.said
        return 2 * self.right / every if every else 0.0


@dataclass(frozen=True)
class Confused:
    """Examples of one label that another is said of."""

    gold: str
    said: str
    examples: int
    of: int


def by_length(
    said: Predictions, beside: Predictions | None, examples: Examples, metric: Metric
) -> list[OfLength]:
    """The figure of each quarter of the examples, the shortest first; of fewer where many are as
    long."""
    pairs = examples.pairs or [""] * len(examples)
    lengths = np.array(
        [len(text) + len(pair) for text, pair in zip(examples.texts, pairs, strict=True)], np.int64
    )
    edges = np.unique(np.quantile(lengths, _QUARTILES))
    quarter = np.searchsorted(edges, lengths)
    found = []
    for number in np.unique(quarter).tolist():
        rows = np.flatnonzero(quarter == number)
        other = figure_with_interval([beside.rows(rows)], metric) if beside else None
        found.append(
            OfLength(
                int(lengths[rows].min()),
                int(lengths[rows].max()),
                len(rows),
                figure_with_interval([said.rows(rows)], metric),
                other,
            )
        )
    return found


def by_label(said: Predictions) -> list[OfLabel]:
    """How each label is found, in the order that they are numbered by."""
    labels = np.arange(len(said.labels))
    answers = predicted(said)
    gold, told = (
        each if each.ndim == 2 else each[:, None] == labels for each in (said.gold, answers)
    )
    counts = zip(gold.sum(0), told.sum(0), (gold & told).sum(0), strict=True)
    return [
        OfLabel(name, int(have), int(say), int(right))
        for name, (have, say, right) in zip(said.labels, counts, strict=True)
    ]


def confusion(said: Predictions) -> np.ndarray:
    """How many examples of each label each label is said of; int64 (gold, said)."""
    labels = len(said.labels)
    counts = np.bincount(said.gold * labels + predicted(said), minlength=labels**2)
    return counts.reshape(labels, labels)


def most_confused(counts: np.ndarray, labels: Sequence[str], most: int) -> list[Confused]:
    """The mistakes that are made most often, these first.

    Args:
        counts: as `confusion` has them.
        most: at most so many.
    """
    every = counts.sum(1)
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(labels)) for place in order]
    return [
        Confused(labels[gold], labels[said], int(wrong[gold, said]), int(every[gold]))
        for gold, said in pairs
        if wrong[gold, said]
    ]
