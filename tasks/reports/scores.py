"""What an evaluation by itself leaves: figures of a version, or of a folder, on a text."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpusmill.model.config import EvaluationResult
from corpusmill.storage import metrics
from corpusmill.storage.aliases import note
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.tracking import FlowContext

# Of a version's tags, under which the newest figure of each text stands.
_TAG = "evaluated"


@dataclass(frozen=True)
class Scores:
    """What a model came to on a text and on probes.

    Attributes:
        model: as it was asked for.
        text: the names of its sources, or that it is what was held out.
        figure: the name of that by which models are compared.
        sources: this figure, of all text and source by source.
    """

    model: str
    text: str
    result: EvaluationResult
    figure: str
    sources: Sequence[SourceFigure]


@task(
    name="report-scores",
    task_run_name="report-scores",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def report_scores(context: FlowContext, version: RegisteredModel | None, scores: Scores) -> None:
    """Writes figures to the run in MLflow, to the version, and into Prefect."""
    result, tracker = scores.result, context.tracker
    figures = {metrics.evaluation(name): value for name, value in result.figures.items()}
    probes = {metrics.probe(each.name, "accuracy"): each.accuracy for each in result.probes}
    tracker.log_metrics(figures | probes)
    text = render(scores)
    values = asdict(scores) | {"result": result.model_dump(mode="json")}
    tracker.log_text(json.dumps(values, ensure_ascii=False, indent=2), "scores.json")
    tracker.log_text(text, "report/report.md")
    if version:
        note(context.settings, version, dict(tags_of(scores)))
    create_markdown_artifact(text, key="scores", description=f"{as_text(scores.model)} scored")
    for line in lines(scores):
        get_run_logger().info("%s", line)


def tags_of(scores: Scores) -> Iterator[tuple[str, str]]:
    """Tags of a version: of each source and each probe its newest figure, with its interval."""
    for each in scores.sources:
        said = f"{each.value:.4f} {in_words(scores.figure)}"
        size = f"{each.documents:,} documents, {each.bytes:,} bytes"
        yield (
            f"{_TAG}.{_key(each.source or scores.text)}",
            f"{said} ({each.low:.4f} to {each.high:.4f}, {size})",
        )
    for probe in scores.result.probes:
        said = f"{probe.accuracy:.4f} ({probe.low:.4f} to {probe.high:.4f}, {probe.items:,} items)"
        yield f"{_TAG}.probe.{probe.name}", said


def lines(scores: Scores) -> Iterator[str]:
    """The same for a terminal."""
    for key, said in tags_of(scores):
        yield f"{key.removeprefix(f'{_TAG}.')}: {said}"


def render(scores: Scores) -> str:
    """The same as markdown."""
    result = scores.result
    rows = "\n".join(
        f"| {as_text(each.source or scores.text)} | **{each.value:.4f}** "
        f"| {each.low:.4f} to {each.high:.4f} | {each.documents:,} | {each.bytes:,} |"
        for each in scores.sources
    )
    others = "\n".join(
        f"| {in_words(name)} | {value:.4f} |" for name, value in result.figures.items()
    )
    probes = "\n".join(
        f"| {as_text(each.name)} | {each.accuracy:.2%} | {each.low:.2%} to {each.high:.2%} "
        f"| {each.items:,} | {'' if each.chance is None else f'{each.chance:.0%}'} |"
        for each in result.probes
    )
    asked = f"\n| probe | right | 95 % | items | by chance |\n|---|---|---|---|---|\n{probes}\n"
    return f"""# {as_text(scores.model)}, scored in {result.precision}

| text | {in_words(scores.figure)} | 95 % | documents | bytes |
|---|---|---|---|---|
{rows}
{asked if probes else ""}
| all of the text | |
|---|---|
{others}
"""


def _key(name: str) -> str:
    """A name as part of a tag of MLflow."""
    return "_".join(re.findall(r"[\w.-]+", name))[:200] or "text"
