"""What a person reads at the end: figures, report and model card, in MLflow and in Prefect."""

import re
from collections.abc import Sequence
from dataclasses import replace

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.config import EvaluationResult
from corpusmill.storage import metrics, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.ledger import Ledger, SetAside
from corpusmill.storage.markup import as_text
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.reports.costs import measure_costs
from corpusmill.tasks.reports.first_run import describe_first_run
from corpusmill.tasks.reports.gathering import read_curves, read_line, take_in, waiting_of
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.night import describe_night, describe_quarantine
from corpusmill.tasks.reports.outcome import Before, Outcome, Sample, to_json
from corpusmill.tasks.reports.outline import Report
from corpusmill.tasks.reports.scores import metrics_of
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.compression import CompressionBaseline
from corpusmill.tasks.stages.contamination import Contamination
from corpusmill.tasks.stages.judgement import Judgement, table_of
from corpusmill.tasks.tracking import FlowContext

PAGE = "report/report.html"


def make_outcome(
    context: FlowContext,
    model: Ref,
    version: RegisteredModel,
    promotion: Promotion,
    figures: EvaluationResult,
    *,
    compressor: CompressionBaseline | None = None,
    judgement: Judgement | None = None,
    before: Before | None = None,
    by_source: tuple[str, Sequence[SourceFigure]] = ("", ()),
    contamination: Sequence[Contamination] = (),
) -> Outcome:
    """Gathers the figures of a run from its parts.

    Args:
        compressor: what a model that writes is compared with.
        judgement, before: of a night.
        by_source: a figure, and its values on the held-out text.
        contamination: of what the model was judged by.
    """
    finished = [
        record
        for record in JournalReader(RunLayout(context.layout.run(model.digest)).journal).read()
        if record["event"] in ("started", "resumed", "finished")
    ]
    facts = {key: value for record in finished for key, value in record.items()}
    return Outcome(
        model=version.name,
        version=version.version,
        champion=promotion.champion,
        standing=promotion.words,
        kind=promotion.kind,
        holder=promotion.holder,
        holder_score=promotion.holder_score,
        family=figures.family,
        figures=figures.figures,
        decides=figures.decides,
        higher_is_better=figures.higher_is_better,
        signature=figures.signature,
        precision=figures.precision,
        baselines=_baselines(figures, compressor),
        reasons=list(judgement.reasons) if judgement else [],
        compared=table_of(judgement) if judgement else [],
        held_out_documents=figures.documents,
        held_out_bytes=figures.bytes,
        tokens_seen=int(facts.get("tokens_seen", 0)),
        parameters=int(facts.get("parameters", 0)),
        training_seconds=float(facts.get("seconds", 0.0)),
        samples=[sample.model_dump() for sample in figures.samples],
        flow_run_url=str(runtime.flow_run.ui_url),
        mlflow_url=context.tracker.link,
        report_url=context.tracker.link_to(PAGE),
        before=before,
        probes=list(figures.probes),
        compared_by=judgement.figure if judgement else by_source[0],
        sources=list(by_source[1]),
        contamination=list(contamination),
        memorisation=figures.memorisation,
    )


def before_of(champion: RegisteredModel, theirs: EvaluationResult, judgement: Judgement) -> Before:
    """The champion that a night went on from, with what it wrote after the same prompts."""
    samples: list[Sample] = [sample.model_dump() for sample in theirs.samples]
    return Before(champion.version, samples, judgement.tolerance, list(theirs.probes))


def _baselines(
    figures: EvaluationResult, compressor: CompressionBaseline | None
) -> dict[str, float]:
    if compressor:
        ppmd = "PPMd of order 16 after reading the training text"
        return ({} if compressor.ppmd is None else {ppmd: compressor.ppmd}) | {
            "xz -9e after reading the training text": compressor.primed,
            "xz -9e alone": compressor.alone,
        }
    named = {
        metrics.UNIGRAM_ACCURACY: "always the commonest token",
        metrics.COPIED_BLEU: "the source as it is",
    }
    return {said: figures.figures[key] for key, said in named.items() if key in figures.figures}


@stage("report")
def report(
    context: FlowContext,
    model: Ref,
    corpus: Ref,
    outcome: Outcome,
    card: str,
    *,
    scratch: Sequence[Ref] = (),
    warnings: Sequence[str] = (),
) -> None:
    """Logs figures, report and model card to MLflow, and the report to Prefect.

    Args:
        model, corpus: what was trained, and on what.
        scratch: what the run will not leave on the disk.
        warnings: sentences about its text that its corpus does not know.
    """
    tracker = context.tracker
    tracker.log_metrics(
        {metrics.evaluation(name): value for name, value in outcome.figures.items()}
        | {metrics.baseline(_key(name)): value for name, value in outcome.baselines.items()}
        | metrics_of(outcome.probes)
        | known_before(outcome)
    )
    decisions = Ledger(context.layout, outcome.model).read()
    whole = replace(
        outcome,
        curves=read_curves(RunLayout(context.layout.run(model.digest)).journal),
        intake=take_in(corpus, decisions.set_aside, warnings),
        costs=measure_costs(context.layout, [each.path for each in scratch]),
        line=read_line(context.settings, outcome, decisions.rolled_back) if outcome.before else [],
    )
    tracker.log_text(to_json(whole), "outcome.json")
    described = describe(whole)
    text = render_markdown(described)
    tracker.log_text(render_html(described), PAGE)
    tracker.log_text(text, "report/report.md")
    tracker.log_text(card, "report/model_card.md")
    registry.describe(context.settings, outcome.model, outcome.version, card.split("---\n", 2)[-1])
    page = f"**[The report as a page]({outcome.report_url})**, in MLflow\n\n"
    create_markdown_artifact(page + text, key="report", description=as_text(described.headline))
    get_run_logger().info("%s; report: %s", described.headline, outcome.report_url)


@stage("report")
def report_quarantine(name: str, aside: Sequence[SetAside]) -> None:
    """Says in Prefect of a night that has no run in MLflow what waits, and how to let it in."""
    described = describe_quarantine(name, waiting_of(aside))
    create_markdown_artifact(
        render_markdown(described), key="report", description=as_text(described.headline)
    )


def known_before(outcome: Outcome) -> dict[str, float]:
    """Shares of what was known before, by metric, but for those of which nothing can be said."""
    shares = {metrics.contamination(each.name): each.share for each in outcome.contamination}
    if outcome.memorisation:
        shares[metrics.evaluation(metrics.MEMORISED)] = outcome.memorisation.share
    return {name: share for name, share in shares.items() if share is not None}


def describe(outcome: Outcome) -> Report:
    """What is said of a run: of a night, or of a first one."""
    if outcome.before:
        return describe_night(outcome, outcome.before)
    return describe_first_run(outcome)


def _key(name: str) -> str:
    """A name as a key of MLflow."""
    return "_".join(re.findall(r"\w+", name))
