"""A suite: one pretrained model on several tasks, over several seeds, and what it has to beat."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.evaluation.intervals import SeedMean, over_seeds
from corpusmill.model.tasks.config import Beginning, MethodConfig
from corpusmill.model.tasks.metrics import Metric, value_of
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import CorpusmillError
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.answers import System, metric_of, read_system
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.finetuning import teach
from corpusmill.tasks.stages.predictions import (
    Difference,
    Figure,
    compare_systems,
    figure_with_interval,
)
from corpusmill.tasks.stages.side_by_side import UntilStopped, side_by_side

_LOGGER = logging.getLogger(__name__)
TAUGHT: tuple[Beginning, ...] = ("pretrained", "scratch", "embeddings")
MAJORITY, TFIDF, MEAN = "majority", "tfidf", "mean with tfidf"
# The second decimal of what embeddings alone are worth is nobody's question.
_ONCE: Beginning = "embeddings"


@dataclass(frozen=True)
class TaskSet:
    """A task of a suite, ready to be taught.

    Attributes:
        name: in the suite.
        examples: an artifact.
        train: with steps, precision and number of processes determined.
    """

    name: str
    examples: Ref
    train: TrainConfig


@dataclass(frozen=True)
class Cell:
    """One system, of one seed, on one task.

    Attributes:
        task: its name.
        system: pretrained, scratch or embeddings; majority or tfidf.
        seed: None of a baseline, which has none.
        model: that was taught; None of a baseline.
        answers: an artifact; None where it failed.
        failure: why, in one sentence.
    """

    task: str
    system: str
    seed: int | None
    model: Ref | None = None
    answers: Ref | None = None
    failure: str = ""


def fill_cells(
    layout: Layout,
    start: Ref,
    sets: Sequence[TaskSet],
    method: MethodConfig,
    seeds: int,
    *,
    processors: int,
) -> list[Cell]:
    """Teaches what has not been taught before, side by side in processes of one thread.

    A cell that fails leaves the others as they are.

    Args:
        method: of the network that begins pretrained.
        processors: how many processes there are at once.
    """
    followed = UntilStopped()

    def fill(each: TaskSet, system: str, seed: int | None) -> Cell:
        try:
            if seed is None:
                baseline = BaselineConfig.model_validate({"name": system})
                said = make_baseline(layout, each.examples, baseline)
                return Cell(each.name, system, seed, None, said)
            # One thread each: a small network gains little from a second one.
            config = each.train.on_hardware(num_processes=1).model_copy(update={"seed": seed})
            given = layout, start, each.examples, _method(method, system), config, 1
            model, said = teach(*given, follower=followed)
        except CorpusmillError as error:
            words = str(error).split("\n")[0]
            _LOGGER.error("%s, %s, seed %s: %s", each.name, system, seed, words)
            return Cell(each.name, system, seed, failure=words)
        return Cell(each.name, system, seed, model, said)

    wanted = [
        (each, system, seed)
        for each in sets
        for system in TAUGHT
        for seed in range(1 if system == _ONCE else seeds)
    ]
    baselines = [(each, system, None) for each in sets for system in (MAJORITY, TFIDF)]
    calls = [partial(fill, *each) for each in [*wanted, *baselines]]
    return side_by_side(calls, processors, followed)


def _method(method: MethodConfig, begins: str) -> MethodConfig:
    # Of noise nothing is worth keeping frozen.
    name = method.name if begins == "pretrained" else "full"
    return MethodConfig.model_validate(method.model_dump() | {"begins": begins, "name": name})


@dataclass(frozen=True)
class Standing:
    """What a system comes to on a task.

    Attributes:
        system: its name.
        seeds: the mean over its seeds, with the interval of Student's t.
        figure: the same, with its interval over examples.
        behind: by how much the pretrained network is better; None in its own row.
    """

    system: str
    seeds: SeedMean
    figure: Figure
    behind: Difference | None


@dataclass(frozen=True)
class TaskResult:
    """A task with what every system comes to.

    Attributes:
        side: of the examples: test, or validation where there are no others.
        metric: name of the figure.
        standings: the pretrained network first; empty where it could not be scored.
        failures: sentences.
    """

    task: str
    side: Side
    metric: str
    examples: int
    standings: tuple[Standing, ...]
    failures: tuple[str, ...] = ()


def result_of(name: str, examples: Ref, cells: Sequence[Cell]) -> TaskResult:
    """What the cells of one task come to, on its test examples."""
    counts = read_manifest(examples.path)["counts"]
    side: Side = "test" if counts["test"]["kept"] else "validation"
    failures = tuple(dict.fromkeys(each.failure for each in cells if each.failure))
    runs: dict[str, list[System]] = {}
    for each in cells:
        if each.answers:
            said = read_system(each.system, each.answers, tested=side == "test")
            runs.setdefault(each.system, []).append(said)
    ours = runs.get("pretrained", [])
    if not ours:
        return TaskResult(name, side, "", counts[side]["kept"], (), failures)
    if TFIDF in runs:
        runs[MEAN] = [each.with_mean(runs[TFIDF][0], MEAN) for each in ours]
    metric = metric_of(ours[0])
    mine = _said(ours, side)
    standings = tuple(
        _standing(system, _said(runs[system], side), mine, metric)
        for system in (*TAUGHT, TFIDF, MEAN, MAJORITY)
        if system in runs
    )
    return TaskResult(name, side, metric.name, counts[side]["kept"], standings, failures)


def _said(runs: Sequence[System], side: Side) -> list[Predictions]:
    found = [each.of(side) for each in runs]
    return [each for each in found if each]


def _standing(
    system: str, said: Sequence[Predictions], mine: Sequence[Predictions], metric: Metric
) -> Standing:
    seeds = over_seeds([value_of(metric, each) for each in said])
    behind = None if system == "pretrained" else compare_systems(mine, said, metric)
    return Standing(system, seeds, figure_with_interval(said, metric), behind)


def mean_over_tasks(results: Sequence[TaskResult]) -> Mapping[str, float]:
    """The mean of each system's figures over the tasks that all of them were scored on."""
    scored = [each for each in results if each.standings]
    if not scored:
        return {}
    names = [each.system for each in scored[0].standings]
    by_task = [{each.system: each.figure.value for each in task.standings} for task in scored]
    return {
        name: sum(task[name] for task in by_task) / len(by_task)
        for name in names
        if all(name in task for task in by_task)
    }
