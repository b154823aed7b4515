"""A suite as tasks: answers of all cells, the table of them, and what is kept of both."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.tasks.config import MethodConfig
from corpusmill.storage import aliases, metrics, registry
from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.examples.predictions import predictions_path
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.finetuning import Start
from corpusmill.tasks.progress import ProgressBar
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.suite import Before, SuiteFindings, describe_suite, in_short
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.suite_table import (
    SuiteTable,
    make_row,
    missing_of,
    read_table,
    table_of,
    values_of,
)
from corpusmill.tasks.stages.suites import (
    PRETRAINED,
    Answered,
    Cell,
    Exam,
    configs_of,
    measure_cells,
)
from corpusmill.tasks.tracking import FlowContext

PAGE, TABLE, CELLS = "report/report.html", "suite.json", "cells.json"


@stage("measure-cells")
def measure(
    context: FlowContext,
    start: Ref,
    exams: Sequence[Exam],
    method: MethodConfig,
    cells: Sequence[Cell],
) -> tuple[list[Answered], dict[Cell, str]]:
    """Has all cells answer, as many at a time as there are cores, each in processes of one thread.

    What has answered before is reused. Prefect shows how many are done.
    """
    bar = ProgressBar("cells")

    def tell(done: int) -> None:
        bar.show(100 * done / len(cells), f"{done} of {len(cells)} cells")

    found = measure_cells(
        context.layout,
        start,
        exams,
        method,
        cells,
        processors=context.settings.processors,
        tell=tell,
    )
    get_run_logger().info("%d of %d cells have answered", len(found[0]), len(cells))
    return found


@stage("make-table")
def make_table(
    context: FlowContext,
    exams: Sequence[Exam],
    method: MethodConfig,
    answered: Sequence[Answered],
    failed: Mapping[Cell, str],
    unread: Mapping[str, str],
) -> SuiteTable:
    """The table of the suite.

    Args:
        failed: cells without answers, and why.
        unread: tasks whose examples cannot be read, and why.
    """
    rows = [
        make_row(context.layout, exam, method, [a for a in answered if a.cell.task == exam.task])
        for exam in exams
    ]
    return table_of([row for row in rows if row], {**unread, **dict(missing_of(failed))})


@stage("report")
def report_suite(
    context: FlowContext,
    recipe: str,
    start: Start,
    exams: Sequence[Exam],
    answered: Sequence[Answered],
    table: SuiteTable,
) -> None:
    """Writes table, page, answers and cells to the run in MLflow, and the page into Prefect.

    A registered model has the figures as tags of its version, with the run that they are from, and
    in its description; the page shows the newest version before it that has some too.
    """
    version = _version(context, start)
    before = _before(context, version, recipe) if version else None
    found = SuiteFindings(
        model=f"{version.name} version {version.version}" if version else Path(start.named).name,
        recipe=recipe,
        table=table,
        counts={exam.task: read_manifest(exam.examples.path)["counts"] for exam in exams},
        before=before,
        flow_run_url=str(runtime.flow_run.ui_url),
        mlflow_url=context.tracker.link,
    )
    context.tracker.log_metrics(metrics_of(table))
    context.tracker.log_text(_as_text(table.as_json()), TABLE)
    _log_cells(context, start, exams, answered, table)
    described = describe_suite(found)
    text = render_markdown(described)
    context.tracker.log_text(render_html(described), PAGE)
    context.tracker.log_text(text, "report/report.md")
    link = context.tracker.link_to(PAGE)
    if version:
        _note(context, version, recipe, found, link)
    create_markdown_artifact(
        f"**[The report as a page]({link})**, in MLflow\n\n{text}",
        key="suite",
        description=as_text(described.headline),
    )
    get_run_logger().info("%s; report: %s", described.headline, link)


def metrics_of(table: SuiteTable) -> dict[str, float]:
    """All figures by metric, those of the pretrained network under the task's own name."""
    found: dict[str, float] = {}
    for row in table.rows:
        for system, score in row.scores.items():
            beside = "" if system == PRETRAINED else system
            named = dict(score.others) | {row.metric: score.mean}
            named |= {f"{row.metric}_low": score.low, f"{row.metric}_high": score.high}
            if score.half_width is not None:
                named[f"{row.metric}_half_width"] = score.half_width
            found |= {metrics.suite(row.task, name, beside): v for name, v in named.items()}
    for system, mean in table.means.items():
        found[metrics.suite("", "mean", "" if system == PRETRAINED else system)] = mean.value
    return {name: value for name, value in found.items() if not math.isnan(value)}


def cells_as_json(
    start: Start, exams: Sequence[Exam], answered: Sequence[Answered], table: SuiteTable
) -> dict[str, Any]:
    """From each cell to the bytes that it goes back to, by digests that `corpusmill show` explains.

    Each digest of an artifact stands beside that of the bytes in it, and `predictions` is the file
    among the run's artifacts from which scikit-learn gives the figure back.
    """
    by_name = {exam.task: exam for exam in exams}
    metric_of = {row.task: row.metric for row in table.rows}
    values = values_of(table, answered)
    return {
        "start": {"named": start.named, **_digests(start.model)},
        "corpora": [corpus.digest for corpus in start.corpora],
        "examples": {exam.task: _digests(exam.examples) for exam in exams},
        "configs": configs_of(answered),
        "cells": [
            {
                "task": each.cell.task,
                "system": each.cell.system,
                "seed": each.cell.seed,
                "metric": metric_of[each.cell.task],
                "value": values[each.cell],
                "examples": by_name[each.cell.task].examples.digest,
                "model": _digests(each.model) if each.model else None,
                "answers": _digests(each.answers),
                "config": each.config,
                "predictions": f"predictions/{_folder_of(each.cell)}/predictions.jsonl",
            }
            for each in answered
            if each.cell in values
        ],
    }


def _log_cells(
    context: FlowContext,
    start: Start,
    exams: Sequence[Exam],
    answered: Sequence[Answered],
    table: SuiteTable,
) -> None:
    context.tracker.log_text(_as_text(cells_as_json(start, exams, answered, table)), CELLS)
    with tempfile.TemporaryDirectory(dir=context.layout.root) as scratch:
        for each in answered:
            source = predictions_path(each.answers.path, "test")
            target = Path(scratch) / _folder_of(each.cell) / "predictions.jsonl"
            if source.exists():
                target.parent.mkdir(parents=True)
                _link(source, target)
        context.tracker.log_folder(Path(scratch), "predictions")


def _note(
    context: FlowContext, version: RegisteredModel, recipe: str, found: SuiteFindings, link: str
) -> None:
    """Tags of a version, and a line in its model card."""
    said = in_short(found.table)
    aliases.note(
        context.settings,
        version,
        {_tag(recipe): said, f"{_tag(recipe)}.run": context.tracker.run_id},
    )
    begins = f"**Suite `{as_text(recipe)}`**"
    line = f"{begins}: {as_text(said)} ([table]({link}))."
    registry.amend(context.settings, version, begins, line)


def _version(context: FlowContext, start: Start) -> RegisteredModel | None:
    registered = start.named.startswith("models:/")
    return aliases.version_at(context.settings, start.named) if registered else None


def _before(context: FlowContext, version: RegisteredModel, recipe: str) -> Before | None:
    """The newest version before this one that the same suite was run on."""
    run = f"{_tag(recipe)}.run"
    older = [
        each
        for each in aliases.versions(context.settings, version.name)
        if run in each.tags and int(each.version) < int(version.version)
    ]
    for each in sorted(older, key=lambda each: -int(each.version)):
        text = aliases.text_of(context.settings, each, TABLE, run)
        try:
            return Before(each.version, read_table(json.loads(text or "")))
        except ValueError:
            get_run_logger().warning("%s of %s is gone, or of another release", TABLE, each.uri)
    return None


def _tag(recipe: str) -> str:
    return f"evaluated.suite.{recipe.replace(':', '.')}"


def _folder_of(cell: Cell) -> str:
    return f"{cell.task}/{cell.system}" + ("" if cell.seed is None else f"-{cell.seed}")


def _digests(ref: Ref) -> dict[str, str]:
    return {"kind": ref.kind, "digest": ref.digest, "content": content_digest(ref)}


def _as_text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=1)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
