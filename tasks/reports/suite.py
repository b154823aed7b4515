"""What the page of a suite says: one pretrained model on several tasks, beside its opponents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from corpusmill.storage import metrics
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.tasks.reports.labels.words import figure, in_words, interval, named, points
from corpusmill.tasks.reports.outline import Part, Report, Table
from corpusmill.tasks.stages.predictions import Difference
from corpusmill.tasks.stages.suites import Standing, TaskResult

_HEADS: Mapping[str, str] = {
    "pretrained": "pretrained",
    "scratch": "random weights",
    "embeddings": "embeddings alone",
    "tfidf": "TF-IDF",
    "mean with tfidf": "mean with TF-IDF",
    "majority": "most frequent",
}


@dataclass(frozen=True)
class Suite:
    """A suite that was run.

    Attributes:
        recipe: of its tasks.
        start: the pretrained model, as a person reads it.
        means: of each system over the tasks that could be scored.
        before: the version before this one that the suite was run on, and its figures by task, each
            with the metric's name.
    """

    recipe: str
    start: str
    results: tuple[TaskResult, ...]
    means: Mapping[str, float]
    before: tuple[str, Mapping[str, tuple[str, float]]] | None
    flow_run_url: str
    mlflow_url: str

    @property
    def scored(self) -> Sequence[TaskResult]:
        """The tasks that have figures."""
        return [each for each in self.results if each.standings]


def in_one_line(suite: Suite) -> str:
    """The figures of the pretrained model, for its card."""
    tasks = ", ".join(f"{each.task} {_mean(each, each.standings[0])}" for each in suite.scored)
    return f"{100 * suite.means['pretrained']:.1f} on average of {len(suite.scored)} tasks: {tasks}"


def describe_suite(suite: Suite) -> Report:
    """The report of a suite."""
    means = suite.means
    gain = (means["pretrained"] - means["scratch"]) * 100 if "scratch" in means else None
    worth = "" if gain is None else f"; pretraining was worth {gain:+.1f} points"
    return Report(
        title=f"{suite.start} on the suite {suite.recipe}",
        headline=f"{suite.start}: {100 * means['pretrained']:.1f} on average of "
        f"{len(suite.scored)} tasks of the suite {suite.recipe}{worth}",
        tone="good" if gain is None or gain > 0 else "plain",
        deck=tuple(_deck(suite)),
        parts=tuple(_parts(suite)),
        links=(("MLflow run", suite.mlflow_url), ("Prefect flow run", suite.flow_run_url)),
    )


def _deck(suite: Suite) -> Iterator[str]:
    for other in ("scratch", "tfidf"):
        better = [each.task for each in suite.scored if _shown_better(each, other)]
        worse = [each.task for each in suite.scored if _shown_worse(each, other)]
        name = "the same from random weights" if other == "scratch" else "TF-IDF"
        said = [
            f"{words} {name} on {', '.join(tasks)}"
            for words, tasks in (("better than", better), ("worse than", worse))
            if tasks
        ]
        rest = len(suite.scored) - len(better) - len(worse)
        said += [f"not told apart on {rest}"] if rest else []
        yield f"Shown {'; '.join(said)}." if better or worse else f"Not told apart from {name}."
    for each in suite.results:
        for failure in each.failures:
            yield f"{each.task}: {failure}"


def _gain(task: TaskResult, other: str) -> Difference | None:
    return next((each.behind for each in task.standings if each.system == other), None)


def _shown_better(task: TaskResult, other: str) -> bool:
    gain = _gain(task, other)
    return gain is not None and gain.low > 0


def _shown_worse(task: TaskResult, other: str) -> bool:
    gain = _gain(task, other)
    return gain is not None and gain.high < 0


def _parts(suite: Suite) -> Iterator[Part]:
    names = [name for name in _HEADS if any(_of(each, name) for each in suite.scored)]
    before = f"version {suite.before[0]}" if suite.before else None
    head = ("task", *(_HEADS[name] for name in names), *([before] if before else []))
    rows = [
        (
            f"{each.task}, {in_words(each.metric)}",
            *(_cell(each, name) for name in names),
            *([_then(suite, each)] if before else []),
        )
        for each in suite.scored
    ]
    means = tuple(f"{100 * suite.means[name]:.1f}" if name in suite.means else "" for name in names)
    yield Table(
        title="All tasks",
        head=head,
        rows=(*rows, ("mean", *means, *([""] if before else []))),
        note="Mean over seeds, and after ± half of its 95 % interval over them (Student's t). "
        "Each opponent sees the same examples.",
        broad=True,
    )
    for each in suite.scored:
        yield _table(each)


def _of(task: TaskResult, system: str) -> Standing | None:
    return next((each for each in task.standings if each.system == system), None)


def _cell(task: TaskResult, system: str) -> str:
    found = _of(task, system)
    return _mean(task, found) if found else "failed"


def _mean(task: TaskResult, standing: Standing) -> str:
    half = standing.seeds.half_width
    shown = figure(task.metric, standing.seeds.mean)
    return shown if half is None else f"{shown} ± {figure(task.metric, half).rstrip(' %')}"


def _then(suite: Suite, task: TaskResult) -> str:
    assert suite.before
    metric, value = suite.before[1].get(task.task, ("", 0.0))
    if metric != task.metric:
        return "not run"
    gain = task.standings[0].figure.value - value
    return f"{figure(metric, value)} ({points(metric, gain)} since)"


def _table(task: TaskResult) -> Table:
    name = task.metric
    kind: TaskKind = "regression" if name == metrics.SPEARMAN else "classification"
    return Table(
        title=f"{task.task}: {in_words(name)} on {task.examples:,} examples for {task.side}",
        head=("system", "seeds", in_words(name), "95 % over examples", "pretrained is better by"),
        rows=tuple(
            (
                "pretrained" if each.behind is None else named(each.system, kind),
                f"{each.seeds.seeds}",
                _mean(task, each),
                interval(name, each.figure),
                "" if each.behind is None else _behind(name, each.behind),
            )
            for each in task.standings
        ),
        strong=0,
        note=" ".join(task.failures),
    )


def _behind(name: str, gain: Difference) -> str:
    if gain.low != gain.low:
        return points(name, gain.gain)
    low = points(name, gain.low).removesuffix(" points")
    return f"{points(name, gain.gain)} ({low} to {points(name, gain.high)})"
