"""A suite as tasks: examples, cells side by side, the table, and what stands on the version."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.tasks.config import MethodConfig
from corpusmill.storage import aliases, metrics, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import CorpusmillError, InputError
from corpusmill.storage.examples.predictions import predictions_path
from corpusmill.storage.examples.schema import SIDES
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.finetuning import Start
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.suite import Suite, describe_suite, in_one_line
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import examples, suites
from corpusmill.tasks.stages.suites import Cell, TaskResult, TaskSet
from corpusmill.tasks.tracking import FlowContext

PAGE = "report/report.html"
_TAG = "suite"


@stage("read-task", "read-{name}")
def read_task(
    context: FlowContext, name: str, config: ExamplesConfig, corpora: list[Ref]
) -> Ref | str:
    """The examples of one task, or, where they cannot be read, why not."""
    try:
        return examples.make_examples(context.layout, config, corpora)
    except CorpusmillError as error:
        words = str(error).split("\n")[0]
        get_run_logger().error("%s: %s", name, words)
        return words


@stage("fill-cells", retries=3)
def fill_cells(
    context: FlowContext, start: Ref, sets: Sequence[TaskSet], method: MethodConfig, seeds: int
) -> list[Cell]:
    """Teaches what has not been taught before, as many processes of one thread as there are cores.

    Raises:
        InputError: nothing could be scored.
    """
    processors = context.settings.processors
    cells = suites.fill_cells(context.layout, start, sets, method, seeds, processors=processors)
    if not any(each.answers for each in cells if each.model):
        raise InputError(f"Not one task could be scored: {cells[0].failure}")
    return cells


@stage("report-suite")
def report_suite(
    context: FlowContext,
    recipe: str,
    start: Start,
    read: Mapping[str, Ref | str],
    cells: Sequence[Cell],
) -> None:
    """Writes the table to MLflow, to Prefect and, of a registered model, to its version."""
    version = start.version
    results = [
        TaskResult(name, "test", "", 0, (), (made,))
        if isinstance(made, str)
        else suites.result_of(name, made, [each for each in cells if each.task == name])
        for name, made in read.items()
    ]
    before = _before(context, recipe, version) if version else None
    suite = Suite(
        recipe,
        start.named,
        tuple(results),
        suites.mean_over_tasks(results),
        before,
        flow_run_url=str(runtime.flow_run.ui_url),
        mlflow_url=context.tracker.link,
    )
    _log_figures(context, suite)
    _log_cells(context, start, read, cells)
    described = describe_suite(suite)
    text = render_markdown(described)
    context.tracker.log_text(render_html(described), PAGE)
    context.tracker.log_text(text, "report/report.md")
    link = context.tracker.link_to(PAGE)
    create_markdown_artifact(
        f"**[The report as a page]({link})**, in MLflow\n\n{text}",
        key="suite",
        description=as_text(described.headline),
    )
    if version:
        _note(context, recipe, version, suite)
    get_run_logger().info("%s; report: %s", described.headline, link)


def _log_figures(context: FlowContext, suite: Suite) -> None:
    figures = {
        metrics.of_suite(each.task, standing.system, each.metric): standing.figure.value
        for each in suite.results
        for standing in each.standings
    }
    means = {metrics.of_suite("mean", name, ""): value for name, value in suite.means.items()}
    context.tracker.log_metrics(figures | means)


def _log_cells(
    context: FlowContext, start: Start, read: Mapping[str, Ref | str], cells: Sequence[Cell]
) -> None:
    """From any cell to bytes: digests of what it was made of, and what it answers."""
    rows: list[dict[str, Any]] = []
    for each in cells:
        made = read[each.task]
        assert not isinstance(made, str)
        folder = "/".join(["cells", each.task, each.system, *_seed(each)])
        rows.append(
            {
                "task": each.task,
                "system": each.system,
                "seed": each.seed,
                "start": start.model.digest,
                "corpora": [corpus.digest for corpus in start.corpora],
                "examples": made.digest,
                "model": each.model.digest if each.model else None,
                "answers": each.answers.digest if each.answers else None,
                "failure": each.failure or None,
                "folder": folder,
            }
        )
        for side in SIDES:
            if each.answers and (path := predictions_path(each.answers.path, side)).exists():
                context.tracker.log_file(path, f"{folder}/{side}")
    context.tracker.log_text(json.dumps(rows, ensure_ascii=False, indent=2), "cells.json")


def _seed(cell: Cell) -> list[str]:
    return [] if cell.seed is None else [f"seed-{cell.seed}"]


def _note(context: FlowContext, recipe: str, version: RegisteredModel, suite: Suite) -> None:
    """What the version is shown and compared by."""
    pretrained = {
        each.task: [each.metric, round(each.standings[0].figure.value, 6)]
        for each in suite.results
        if each.standings
    }
    line = in_one_line(suite)
    tags = {f"{_TAG}.{recipe}": line, f"{_TAG}.{recipe}.figures": json.dumps(pretrained)}
    aliases.note(context.settings, version, tags)
    link = context.tracker.link_to(PAGE)
    said = f"{as_text(line)}; [the table]({link})"
    registry.say_besides(
        context.settings, version.name, version.version, f"Suite {as_text(recipe)}", said
    )


def _before(
    context: FlowContext, recipe: str, version: RegisteredModel
) -> tuple[str, Mapping[str, tuple[str, float]]] | None:
    """The newest version before this one that the suite was run on, with its figures."""
    key = f"{_TAG}.{recipe}.figures"
    older = [
        each
        for each in aliases.versions(context.settings, version.name)
        if key in each.tags and int(each.version) < int(version.version)
    ]
    if not older:
        return None
    last = max(older, key=lambda each: int(each.version))
    figures: dict[str, list[Any]] = json.loads(last.tags[key])
    return last.version, {name: (said[0], said[1]) for name, said in figures.items()}
