"""What an evaluation by itself leaves: figures of a version, or of a folder, on a text."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.config import EvaluationResult, ProbeResult
from corpusmill.storage import metrics
from corpusmill.storage.aliases import note
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.stages.judgement import FEW
from corpusmill.tasks.stages.scored_text import in_short
from corpusmill.tasks.tracking import FlowContext

# Of a version's tags, under which the newest figure of each text stands.
_TAG = "evaluated"
_DIGITS = 8  # of a digest


@dataclass(frozen=True)
class Scores:
    """What a model came to on a text and on probes.

    Attributes:
        model: as it was asked for.
        text: the names of its sources, or that it is what was held out.
        figure: the name of that by which models are compared; empty where probes alone are asked.
        sources: this figure, of all text and source by source.
        text_digest: of the text.
        probe_digests: of the items of each probe, by its name.
        dropped: documents of the text that cannot be scored, by reason.
    """

    model: str
    text: str
    result: EvaluationResult
    figure: str
    sources: Sequence[SourceFigure]
    text_digest: str = ""
    probe_digests: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


@stage("report-scores")
def report_scores(context: FlowContext, version: RegisteredModel | None, scores: Scores) -> None:
    """Writes figures to the run in MLflow, to the version, and into Prefect."""
    result, tracker = scores.result, context.tracker
    figures = {metrics.evaluation(name): value for name, value in result.figures.items()}
    tracker.log_metrics(figures | metrics_of(result.probes))
    text = render(scores)
    values = asdict(scores) | {"result": result.model_dump(mode="json")}
    tracker.log_text(json.dumps(values, ensure_ascii=False, indent=2), "scores.json")
    tracker.log_text(text, "report/report.md")
    if version:
        note(context.settings, version, dict(tags_of(scores, version.tags)))
    create_markdown_artifact(text, key="scores", description=f"{as_text(scores.model)} scored")
    for line in lines(scores):
        get_run_logger().info("%s", line)


def metrics_of(probes: Iterable[ProbeResult]) -> dict[str, float]:
    """All figures of probes, by metric."""
    return {
        metrics.probe(each.name, name): value
        for each in probes
        for name, value in {metrics.ACCURACY: each.accuracy, **each.beside}.items()
    }


def tags_of(scores: Scores, there: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Tags of a version: of each source and each probe its newest figure, with its interval.

    Args:
        there: tags that the version has already, where those of other texts stay.
    """
    text, precision = f"text {scores.text_digest[:_DIGITS]}", scores.result.precision
    other = {key for key, said in (there or {}).items() if f"; {text}, " not in said}
    used: set[str] = set()
    for each in scores.sources:
        name = each.source or scores.text
        key = f"{_TAG}.text.{_key(name)}"
        if _key(name) != name or key in other | used:
            key += f".{scores.text_digest[:_DIGITS]}"
        number = next(n for n in count(1) if _numbered(key, n) not in used)
        used.add(_numbered(key, number))
        size = f"{each.documents:,} documents, {each.bytes:,} bytes"
        yield (
            _numbered(key, number),
            f"{each.value:.4f} {in_words(scores.figure)} ({_interval(each)}, {size}; {text}, "
            f"{precision})",
        )
    for probe in scores.result.probes:
        beside = "".join(f", {in_words(name)} {value:.4g}" for name, value in probe.beside.items())
        yield (
            f"{_TAG}.probe.{probe.name}",
            f"{probe.accuracy:.4f} ({probe.low:.4f} to {probe.high:.4f}, {probe.items:,} items"
            f"{beside}; items {scores.probe_digests.get(probe.name, '')[:_DIGITS]}, {precision})",
        )


def _numbered(key: str, number: int) -> str:
    return key if number == 1 else f"{key}.{number}"


def _interval(of: SourceFigure) -> str:
    return "few" if of.few else f"{of.low:.4f} to {of.high:.4f}"


def lines(scores: Scores) -> Iterator[str]:
    """The same for a terminal."""
    for key, said in tags_of(scores):
        yield f"{key.removeprefix(f'{_TAG}.')}: {said}"


def render(scores: Scores) -> str:
    """The same as markdown."""
    parts = [f"# {as_text(scores.model)}, scored in {scores.result.precision}\n"]
    if scores.sources:
        rows = "\n".join(
            f"| {as_text(each.source or scores.text)} | **{each.value:.4f}** "
            f"| {_interval(each)} | {each.documents:,} | {each.bytes:,} |"
            for each in scores.sources
        )
        figure = in_words(scores.figure)
        parts.append(
            f"| text | {figure} | 95 % | documents | bytes |\n|---|---|---|---|---|\n{rows}\n"
        )
    if any(each.few for each in scores.sources):
        parts.append(f"Few: less than {FEW} blocks of 2 kB, too few for an interval.\n")
    if scores.dropped:
        said = as_text(in_short(scores.dropped))
        parts.append(f"{sum(scores.dropped.values()):,} documents cannot be scored: {said}.\n")
    if scores.result.probes:
        rows = "\n".join(map(_row, scores.result.probes))
        head = "| probe | right | 95 % | items | by chance | beside |\n|---|---|---|---|---|---|"
        parts.append(f"{head}\n{rows}\n")
    if scores.result.figures:
        rows = "\n".join(
            f"| {in_words(name)} | {value:.4f} |" for name, value in scores.result.figures.items()
        )
        parts.append(f"| all of the text | |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(probe: ProbeResult) -> str:
    chance = "" if probe.chance is None else f"{probe.chance:.0%}"
    beside = ", ".join(f"{in_words(name)} {value:.4g}" for name, value in probe.beside.items())
    return (
        f"| {as_text(probe.name)} | {probe.accuracy:.2%} | {probe.low:.2%} to {probe.high:.2%} "
        f"| {probe.items:,} | {chance} | {beside} |"
    )


def _key(name: str) -> str:
    """A name as part of a tag of MLflow."""
    return "_".join(re.findall(r"[\w.-]+", name))[:200] or "text"
