"""The task that shows what a fine-tuning came to: the page, its pictures, tables and answers."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from corpusmill.storage import metrics, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.predictions import predictions_path, write_predictions
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.reports.figures import render_table, told_of
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.labels.findings import TFIDF, Findings, gather
from corpusmill.tasks.reports.labels.page import describe_labels
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.model_card import render_teaching
from corpusmill.tasks.reports.outline import Plot, Report
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.answers import System, metric_of
from corpusmill.tasks.stages.learning_curve import Learner, Point, share_needed
from corpusmill.tasks.stages.lineage import examples_files
from corpusmill.tasks.stages.search import Tried
from corpusmill.tasks.tracking import FlowContext

PAGE = "report/report.html"
_SIDES: tuple[Side, ...] = ("validation", "test")


@stage("report")
def report_labels(
    context: FlowContext,
    version: RegisteredModel,
    promotion: Promotion,
    said: System,
    opponents: Sequence[System],
    curves: Mapping[Learner, Sequence[Point]],
    *,
    examples: Ref,
    model: Ref,
    tried: Sequence[Tried],
) -> None:
    """Writes figures, answers and the page to the run in MLflow, and the page into Prefect.

    The version in the registry is described by the short tables.

    Args:
        curves: of shares of the labels, as `points_of` has them; empty where none was measured.
        tried: how else it might have been taught, the best first; none without a search.
    """
    both = [each for each in opponents if each.name == TFIDF]
    systems = [*opponents, *(said.with_mean(each, f"mean with {TFIDF}") for each in both)]
    found = gather(
        context.layout,
        said,
        systems,
        curves,
        examples,
        model,
        name=version.name,
        version=version.version,
        promotion=promotion,
        flow_run_url=str(runtime.flow_run.ui_url),
        mlflow_url=context.tracker.link,
        tried=tried,
    )
    _log_figures(context, found)
    _log_answers(context, said)
    described = describe_labels(found)
    text = render_markdown(described)
    context.tracker.log_text(render_html(described), PAGE)
    context.tracker.log_text(text, "report/report.md")
    _log_pictures(context, described)
    link = context.tracker.link_to(PAGE)
    files = examples_files(context.layout, examples.digest)
    short = f"{_in_short(found, said, examples)}\n\n{render_teaching(version, files)}"
    registry.describe(context.settings, version.name, version.version, short)
    create_markdown_artifact(
        f"**[The report as a page]({link})**, in MLflow\n\n{text}",
        key="report",
        description=as_text(described.headline),
    )
    get_run_logger().info("%s; report: %s", described.headline, link)


def _log_figures(context: FlowContext, found: Findings) -> None:
    figures = {
        metrics.labelled(
            side if row.gain is None else f"{side}/{row.name.replace(' ', '_')}", name
        ): value
        for side, rows in found.rows.items()
        for row in rows
        for name, value in row.others.items()
    }
    if len(found.curves.get("pretrained", ())) > 1:
        others: tuple[Learner, ...] = ("scratch", TFIDF)
        for other in others:
            share = share_needed(found.curves, other)
            if share is not None:
                figures[metrics.labels_saved(other)] = 1 - share
    # Before the last step they would stand behind what validation has found on the way.
    context.tracker.log_metrics(figures, context.tracker.last_step())
    for learner, points in found.curves.items():
        by_examples = {point.examples: point.figure.value for point in points}
        context.tracker.log_curve(metrics.learning_curve(learner, found.decides), by_examples)


def _log_answers(context: FlowContext, said: System) -> None:
    """Keeps what the model answers, from which anybody can work out its figures."""
    for side in _SIDES:
        answers = said.of(side)
        if answers:
            with tempfile.TemporaryDirectory() as scratch:
                path = predictions_path(Path(scratch), side)
                write_predictions(path, answers)
                context.tracker.log_file(path, f"predictions/{side}")


def _log_pictures(context: FlowContext, report: Report) -> None:
    for part in report.parts:
        if isinstance(part, Plot):
            name = "_".join(re.findall(r"\w+", part.title.lower()))
            context.tracker.log_text(part.svg, f"report/{name}.svg")


def _in_short(found: Findings, said: System, examples: Ref) -> str:
    """The tables alone, as markdown."""
    head = f"**{as_text(found.name)} version {found.version}: {as_text(found.promotion.words)}.**"
    name = metric_of(said).name
    tables = [render_table(side, rows, name) for side, rows in found.rows.items() if rows]
    return "\n\n".join([head, *tables, *told_of(examples)])
