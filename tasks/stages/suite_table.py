"""The table of a suite: tasks, systems, and how sure each figure is; worked out from answers alone.

A figure of a network is the mean over its seeds. How far chance in training moves it, Student's
interval over seeds says; how far another draw of test examples would, the bootstrap.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from corpusmill.model.evaluation.intervals import over_seeds
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.tasks.metrics import deciding, figures_of, value_of
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.examples.predictions import (
    Predictions,
    mean_of,
    predictions_path,
    read_predictions,
)
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import write_json
from corpusmill.tasks.stages.predictions import interval_of, resampled
from corpusmill.tasks.stages.suites import (
    EMBEDDINGS,
    MAJORITY,
    PRETRAINED,
    SCRATCH,
    TFIDF,
    Answered,
    Cell,
    Exam,
    setting_of,
)

WITH_TFIDF = "mean with tfidf"
# A correlation of ranks is worked out anew in each draw: five seconds a task.
RESAMPLES = 2000
_SCORES = "scores.json"
SYSTEMS = (PRETRAINED, SCRATCH, EMBEDDINGS, MAJORITY, TFIDF, WITH_TFIDF)


@dataclass(frozen=True)
class Score:
    """A system on a task.

    Attributes:
        runs: the figure of each seed; of a baseline a single one.
        mean, half_width: over seeds, with the interval of 95 %; None of one seed.
        low, high: interval of 95 % of the mean over examples.
        gain: by how much the pretrained network is better, with its interval over examples; None
            of itself.
        best: whether nothing is shown to be better: it is the best of the task, or a paired
            bootstrap over the examples does not tell it from that with 95 %.
        others: all figures by name, means over seeds.
    """

    runs: tuple[float, ...]
    mean: float
    half_width: float | None
    low: float
    high: float
    gain: tuple[float, float, float] | None
    best: bool
    others: Mapping[str, float]


@dataclass(frozen=True)
class TaskScores:
    """A row of the table.

    Attributes:
        metric: the figure, and whether more of it is better.
        examples: how many the test has.
        setting: digest of what is asked and how it is learned.
        scores: by system, in the order of `SYSTEMS`.
    """

    task: str
    metric: str
    higher_is_better: bool
    examples: int
    setting: str
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Mean:
    """A system over all tasks that every system has answered.

    Attributes:
        value: mean of the tasks' figures.
        half_width: of its interval of 95 % over seeds; None of one seed.
    """

    value: float
    half_width: float | None


@dataclass(frozen=True)
class SuiteTable:
    """Attributes:
    rows: the tasks that the pretrained network has answered.
    means: by system, over `counted`.
    counted: tasks on which every system of the table has a figure.
    missing: of each task or cell that has none, why.
    """

    rows: tuple[TaskScores, ...]
    means: Mapping[str, Mean]
    counted: tuple[str, ...]
    missing: Mapping[str, str]

    @property
    def systems(self) -> tuple[str, ...]:
        """Those that have a figure on some task."""
        return tuple(name for name in SYSTEMS if any(name in row.scores for row in self.rows))

    def as_json(self) -> dict[str, Any]:
        """The table as JSON values, which `read_table` reads."""
        return dataclasses.asdict(self)


def read_table(values: Mapping[str, Any]) -> SuiteTable:
    """A table from its JSON values.

    Raises:
        ValueError: they are of another shape, as those of another release may be.
    """
    try:
        rows = tuple(map(_read_row, values["rows"]))
        means = {name: Mean(**mean) for name, mean in values["means"].items()}
        return SuiteTable(rows, means, tuple(values["counted"]), values["missing"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no table of a suite: {error}") from error


def make_row(
    layout: Layout, exam: Exam, method: MethodConfig, answered: Sequence[Answered]
) -> TaskScores | None:
    """The row of a task, worked out once for the same answers.

    Args:
        answered: the cells of this task.

    Returns:
        None where no pretrained network has answered.
    """
    if not any(each.cell.system == PRETRAINED for each in answered):
        return None
    setting = setting_of(exam, method)

    def write(directory: Path) -> None:
        row = _row(exam, setting, _said(answered))
        write_json(directory / _SCORES, dataclasses.asdict(row))

    inputs = {f"{each.cell}": content_digest(each.answers) for each in answered}
    config = {"metric": exam.metric, "setting": setting, "resamples": RESAMPLES}
    ref, _ = obtain(layout, Spec("suite_scores", 1, inputs, config), write)
    return _read_row(json.loads((ref.path / _SCORES).read_text(encoding="utf-8")))


def table_of(rows: Sequence[TaskScores], missing: Mapping[str, str]) -> SuiteTable:
    """The table of these rows.

    Args:
        missing: of each task or cell that has no figure, why.
    """
    there = {name for row in rows for name in row.scores}
    counted = [row for row in rows if there <= row.scores.keys()]
    means = {
        name: _mean([row.scores[name] for row in counted]) for name in SYSTEMS if name in there
    }
    named = tuple(row.task for row in counted)
    return SuiteTable(tuple(rows), means if counted else {}, named, dict(missing))


def value_of_cell(cell: Answered, metric: str) -> float:
    """The figure of one cell on test."""
    said = read_answers(cell.answers)
    return value_of(deciding(said.kind, len(said.labels), metric), said)


def read_answers(answers: Ref) -> Predictions:
    """What was answered to the test."""
    return read_predictions(predictions_path(answers.path, "test"))


def missing_of(failed: Mapping[Cell, str]) -> Iterator[tuple[str, str]]:
    """What failed, each task once where one reason holds for all of its cells."""
    ordered = sorted(failed.items(), key=lambda item: (item[0].task, item[1]))
    for (task, why), group in groupby(ordered, key=lambda item: (item[0].task, item[1])):
        cells = [cell for cell, _ in group]
        named = ", ".join(
            cell.system if cell.seed is None else f"{cell.system} {cell.seed}" for cell in cells
        )
        yield f"{task} ({named})", why


def _read_row(values: Mapping[str, Any]) -> TaskScores:
    scores = {name: Score(**_in_tuples(score)) for name, score in values["scores"].items()}
    return TaskScores(**{**values, "scores": scores})


def _in_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}


def _said(answered: Iterable[Answered]) -> dict[str, list[Predictions]]:
    """What each system has answered to the test of a task, seed by seed, the mean with TF-IDF
    among them.
    """
    found: dict[str, list[Predictions]] = {}
    for each in answered:
        found.setdefault(each.cell.system, []).append(read_answers(each.answers))
    if PRETRAINED in found and TFIDF in found:
        found[WITH_TFIDF] = [mean_of(said, found[TFIDF][0]) for said in found[PRETRAINED]]
    return {name: found[name] for name in SYSTEMS if name in found}


def _row(exam: Exam, setting: str, said: Mapping[str, Sequence[Predictions]]) -> TaskScores:
    first = said[PRETRAINED][0]
    metric = deciding(first.kind, len(first.labels), exam.metric)
    sign = 1 if metric.higher_is_better else -1
    values = {n: tuple(value_of(metric, each) for each in runs) for n, runs in said.items()}
    drawn = dict(zip(said, resampled(list(said.values()), metric, RESAMPLES, 0), strict=True))
    best = max(values, key=lambda name: sign * fmean(values[name]))
    scores = {}
    for name, runs in said.items():
        gain = sign * (fmean(values[PRETRAINED]) - fmean(values[name]))
        between = interval_of(sign * (drawn[PRETRAINED] - drawn[name]))
        behind, _ = interval_of(sign * (drawn[best] - drawn[name]))
        low, high = interval_of(drawn[name])
        scores[name] = Score(
            runs=values[name],
            mean=fmean(values[name]),
            half_width=over_seeds(values[name]).half_width,
            low=low,
            high=high,
            gain=None if name == PRETRAINED else (gain, *between),
            best=name == best or behind <= 0,
            others=_means(runs),
        )
    return TaskScores(exam.task, metric.name, metric.higher_is_better, len(first), setting, scores)


def _means(runs: Sequence[Predictions]) -> dict[str, float]:
    """All figures, those that every run has, in the mean."""
    found = [figures_of(each) for each in runs]
    names = [name for name in found[0] if all(name in each for each in found)]
    return {name: fmean(each[name] for each in found) for name in names}


def _mean(scores: Sequence[Score]) -> Mean:
    """Over tasks; with an interval over seeds, of as many as every task has."""
    seeds = min((len(each.runs) for each in scores), default=0)
    if not seeds:
        return Mean(float("nan"), None)
    over = over_seeds([fmean(each.runs[seed] for each in scores) for seed in range(seeds)])
    return Mean(fmean(each.mean for each in scores), over.half_width)
