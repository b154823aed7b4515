"""What systems answer to the same examples: their figures, side by side, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpusmill.model.tasks.metrics import Metric, deciding, figures_of
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.predictions import (
    Predictions,
    mean_of,
    predictions_path,
    read_predictions,
)
from corpusmill.storage.examples.schema import Side
from corpusmill.tasks.stages.predictions import (
    Difference,
    Figure,
    compare_systems,
    figure_with_interval,
)


@dataclass(frozen=True)
class System:
    """Something that answers: a network, or what it has to beat.

    Attributes:
        name: as tables call it.
        validation, test: what it said; None where there are no such examples.
    """

    name: str
    validation: Predictions
    test: Predictions | None

    def of(self, side: Side) -> Predictions | None:
        """What it said of a side."""
        return self.validation if side == "validation" else self.test

    def with_mean(self, other: "System", name: str) -> "System":
        """An ensemble of both: the mean of their probabilities."""
        test = mean_of(self.test, other.test) if self.test and other.test else None
        return System(name, mean_of(self.validation, other.validation), test)


def read_system(name: str, answers: Ref, *, tested: bool) -> System:
    """What an artifact of answers holds.

    Args:
        tested: whether there are examples for test.
    """
    read = {
        side: read_predictions(predictions_path(answers.path, side))
        for side in (("validation", "test") if tested else ("validation",))
    }
    return System(name, read["validation"], read.get("test"))


def metric_of(system: System) -> Metric:
    """The figure by which systems are compared."""
    said = system.validation
    return deciding(said.kind, len(said.labels))


@dataclass(frozen=True)
class Row:
    """A system in a table.

    Attributes:
        figure: on the side that the table is of.
        gain: by how much the candidate is better on it; None in the candidate's own row.
        others: all figures by name.
    """

    name: str
    figure: Figure
    gain: Difference | None
    others: Mapping[str, float]


def table_of(candidate: System, opponents: Sequence[System], side: Side) -> list[Row]:
    """The candidate, then its opponents, on one side; empty where that has no examples."""
    metric, mine = metric_of(candidate), candidate.of(side)
    if mine is None:
        return []
    rows = [Row(candidate.name, figure_with_interval([mine], metric), None, figures_of(mine))]
    for each in opponents:
        said = each.of(side)
        assert said is not None, "all answer the same examples"
        figure = figure_with_interval([said], metric)
        gain = compare_systems([mine], [said], metric)
        rows.append(Row(each.name, figure, gain, figures_of(said)))
    return rows
