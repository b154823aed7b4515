"""What the page of a suite says: one table, how sure it is, and what pretraining was worth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corpusmill.storage.examples.schema import SIDES
from corpusmill.tasks.reports.corpus.words import counted, number
from corpusmill.tasks.reports.labels.words import in_words
from corpusmill.tasks.reports.outline import Part, Report, Steps, Table
from corpusmill.tasks.stages.examples import warnings_of
from corpusmill.tasks.stages.suite_table import WITH_TFIDF, Score, SuiteTable, TaskScores
from corpusmill.tasks.stages.suites import EMBEDDINGS, MAJORITY, PRETRAINED, SCRATCH, TFIDF

_NAMES: Mapping[str, str] = {
    PRETRAINED: "pretrained",
    SCRATCH: "random weights",
    EMBEDDINGS: "embeddings alone",
    MAJORITY: "most frequent",
    TFIDF: "TF-IDF",
    WITH_TFIDF: "mean with TF-IDF",
}
_NONE = "–"


@dataclass(frozen=True)
class Before:
    """The version that is compared with, and its table."""

    version: str
    table: SuiteTable


@dataclass(frozen=True)
class SuiteFindings:
    """What the page is made from.

    Attributes:
        model: as it is called in the headline.
        counts: of the examples of each task.
        before: None where no version before this one has such a table.
    """

    model: str
    recipe: str
    table: SuiteTable
    counts: Mapping[str, Mapping[str, Any]]
    before: Before | None
    flow_run_url: str
    mlflow_url: str


def describe_suite(found: SuiteFindings) -> Report:
    """The report of a suite."""
    table = found.table
    mean = table.means.get(PRETRAINED)
    said = "no task has figures of all systems"
    if mean:
        tasks = counted(len(table.counted), "task")
        said = f"{_with_width(mean.value, mean.half_width)} in the mean of {tasks}"
    return Report(
        title=f"{found.model}, suite {found.recipe}",
        headline=f"{found.model}: {said}",
        tone="plain",
        deck=tuple(_deck(table)),
        parts=tuple(_parts(found)),
        links=(("MLflow run", found.mlflow_url), ("Prefect flow run", found.flow_run_url)),
    )


def in_short(table: SuiteTable) -> str:
    """The means of all systems in one line, for a tag and a model card."""
    if not table.means:
        return "no task has figures of all systems"
    means = {_NAMES[n]: _with_width(m.value, m.half_width) for n, m in table.means.items()}
    first = means.pop(_NAMES[PRETRAINED])
    others = ", ".join(f"{name} {said}" for name, said in means.items())
    return f"{first} ({', '.join(table.counted)}; {others})"


def _deck(table: SuiteTable) -> Iterator[str]:
    means = table.means
    if PRETRAINED in means:
        mine = means[PRETRAINED].value
        against = [
            f"{_points(mine - means[name].value)} against {words}"
            for name, words in ((SCRATCH, "random weights"), (TFIDF, "TF-IDF"))
            if name in means
        ]
        if against:
            yield f"In the mean of the tasks {' and '.join(against)}."
    behind = [
        row.task
        for row in table.rows
        if (tfidf := row.scores.get(TFIDF)) and tfidf.gain and tfidf.gain[2] < 0
    ]
    if behind:
        yield f"TF-IDF with a linear model is shown to be better on {', '.join(behind)}."
    if table.missing:
        yield f"Without figures, for a reason told below: {', '.join(table.missing)}."


def _parts(found: SuiteFindings) -> Iterator[Part]:
    table = found.table
    yield _figures(table)
    if table.missing:
        rows = tuple((f"{name}: {why}", "") for name, why in table.missing.items())
        note = "Run the suite again once that is mended: what was measured is reused."
        yield Steps("Not measured", rows, note)
    yield _over_examples(table)
    yield _gains(table)
    if found.before:
        yield _beside(table, found.before)
    yield _tasks(found)
    yield _others(table)
    known = [
        (f"{row.task}: {said}.", "")
        for row in table.rows
        for said in warnings_of(found.counts[row.task])
    ]
    if known:
        yield Steps("What to know of the examples", tuple(known))


def _figures(table: SuiteTable) -> Table:
    systems = table.systems
    rows = [
        (row.task, in_words(row.metric), *(_cell(row.scores.get(name)) for name in systems))
        for row in table.rows
    ]
    marked = {
        (line, 2 + column)
        for line, row in enumerate(table.rows)
        for column, name in enumerate(systems)
        if name in row.scores and row.scores[name].best
    }
    if table.means:
        means = (table.means[name] for name in systems)
        said = tuple(_with_width(each.value, each.half_width) for each in means)
        rows.append((f"mean of {len(table.counted)}", "", *said))
    return Table(
        "Test figures, times 100",
        ("task", "figure", *(_NAMES[name] for name in systems)),
        tuple(rows),
        note="The mean over seeds ± half of its interval of 95 % (Student's t); without ± there is "
        "one seed, or chance has no part in it. In bold is what nothing is shown to be better "
        "than: the best of its row, and what a paired bootstrap over the test examples does not "
        "tell from it with 95 %.",
        broad=True,
        marked=frozenset(marked),
    )


def _over_examples(table: SuiteTable) -> Table:
    systems = table.systems
    rows = tuple(
        (row.task, *(_between(row.scores.get(name)) for name in systems)) for row in table.rows
    )
    return Table(
        "Another draw of test examples: 95 %",
        ("task", *(_NAMES[name] for name in systems)),
        rows,
        broad=True,
    )


def _gains(table: SuiteTable) -> Table:
    others = [name for name in table.systems if name not in (PRETRAINED, MAJORITY)]
    rows = tuple(
        (row.task, *(_gain(row.scores.get(name)) for name in others)) for row in table.rows
    )
    return Table(
        "Points by which the pretrained network is better",
        ("task", *(f"than {_NAMES[name]}" for name in others)),
        rows,
        note="In brackets the interval of 95 % over test examples, the same ones for both.",
        broad=True,
    )


def _beside(table: SuiteTable, before: Before) -> Table:
    older = {row.task: row for row in before.table.rows}
    rows = tuple(_compared(row, older.get(row.task)) for row in table.rows)
    same = [row.task for row in table.rows if _same(row, older.get(row.task))]
    if same:
        mine, its = (_mean_of(each, same) for each in (table, before.table))
        last = (
            f"mean of {len(same)}",
            f"{100 * its:.1f}",
            f"{100 * mine:.1f}",
            _points(mine - its),
        )
        rows = (*rows, last)
    return Table(
        f"Beside version {before.version}",
        ("task", f"version {before.version}", "this model", "better by"),
        rows,
        note="Only figures of the same examples, learned in the same way, are compared.",
        broad=True,
    )


def _compared(row: TaskScores, older: TaskScores | None) -> tuple[str, str, str, str]:
    mine = row.scores[PRETRAINED]
    if older is None:
        return row.task, _NONE, _cell(mine), "not measured then"
    its = older.scores[PRETRAINED]
    sign = 1 if row.higher_is_better else -1
    gain = _points(sign * (mine.mean - its.mean)) if _same(row, older) else "asked otherwise then"
    return row.task, _cell(its), _cell(mine), gain


def _same(row: TaskScores, older: TaskScores | None) -> bool:
    return older is not None and older.setting == row.setting


def _mean_of(table: SuiteTable, tasks: list[str]) -> float:
    return sum(r.scores[PRETRAINED].mean for r in table.rows if r.task in tasks) / len(tasks)


def _tasks(found: SuiteFindings) -> Table:
    rows = []
    for row in found.table.rows:
        sides = [found.counts[row.task][side] for side in SIDES]
        labels = len(found.counts[row.task]["labels"])
        rows.append((row.task, str(labels or _NONE), *(number(each["kept"]) for each in sides)))
    return Table("Examples kept", ("task", "labels", *SIDES), tuple(rows))


def _others(table: SuiteTable) -> Table:
    systems = table.systems
    rows = tuple(
        (
            f"{row.task} {name}",
            *(
                f"{row.scores[system].others[name]:.4f}"
                if name in (row.scores[system].others if system in row.scores else {})
                else _NONE
                for system in systems
            ),
        )
        for row in table.rows
        for name in row.scores[PRETRAINED].others
    )
    return Table(
        "All figures",
        ("", *(_NAMES[name] for name in systems)),
        rows,
        note="Means over seeds, as scikit-learn and scipy work them out of the answers, which are "
        "predictions/TASK/SYSTEM-SEED/predictions.jsonl in MLflow; cells.json beside them leads "
        "from each to the digests of model, examples, corpora and config, which `corpusmill show` "
        "explains.",
        broad=True,
    )


def _cell(score: Score | None) -> str:
    return _NONE if score is None else _with_width(score.mean, score.half_width)


def _between(score: Score | None) -> str:
    if score is None or score.low != score.low:
        return _NONE
    return f"{100 * score.low:.1f} to {100 * score.high:.1f}"


def _gain(score: Score | None) -> str:
    if score is None or score.gain is None:
        return _NONE
    gain, low, high = score.gain
    return f"{_points(gain)} ({_points(low)} to {_points(high)})"


def _with_width(value: float, half_width: float | None) -> str:
    return f"{100 * value:.1f}" + ("" if half_width is None else f" ± {100 * half_width:.1f}")


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}"
