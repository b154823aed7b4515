"""What a person reads at the end: a report with the curve, in Prefect and in MLflow."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect import runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from corpusmill.model.config import EvaluationResult
from corpusmill.model.network.config import Family
from corpusmill.storage import metrics
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text
from corpusmill.storage.registry import describe
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages.compression import CompressionBaseline
from corpusmill.tasks.stages.contamination import Contamination
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.stages.judgement import Judgement, table_of
from corpusmill.tasks.tracking import FlowContext

# What samples show, by the figure that decides.
SHOWN: Mapping[str, str] = {
    metrics.BITS_PER_BYTE: "It writes",
    metrics.MASKED_ACCURACY: "It fills in",
    metrics.SPAN_PERPLEXITY: "It writes what was cut out",
    metrics.BLEU: "It translates",
}


@dataclass(frozen=True)
class Outcome:
    """What a flow run came to.

    Attributes:
        standing: whether it is the champion, in words.
        figures: of the evaluation, by name.
        decides: the figure by which versions are compared.
        signature: how that figure was worked out, where others do it differently.
        precision: in which the figures were computed.
        baselines: what that figure is without a model, by how it comes about.
        reasons: of a night, why it was promoted or refused.
        compared: of a night, candidate and champion on each part of the held-out text.
        probes: results of the evaluation's probes, as ProbeResult has them.
        contamination: of what it was judged by, as Contamination has it.
        memorisation: of what it was trained on, as Memorisation has it.
    """

    model: str
    version: str
    champion: bool
    standing: str
    family: Family
    figures: dict[str, float]
    decides: str
    signature: str
    precision: str
    baselines: dict[str, float]
    reasons: list[str]
    compared: list[dict[str, Any]]
    held_out_documents: int
    held_out_bytes: int
    tokens_seen: int
    parameters: int
    training_seconds: float
    samples: list[dict[str, str | None]]
    flow_run_url: str
    mlflow_url: str
    probes: list[dict[str, Any]] = field(default_factory=list)
    contamination: list[dict[str, Any]] = field(default_factory=list)
    memorisation: dict[str, Any] | None = None

    @property
    def score(self) -> float:
        """The figure that decides."""
        return self.figures[self.decides]


def make_outcome(
    context: FlowContext,
    model: Ref,
    version: RegisteredModel,
    promotion: Promotion,
    figures: EvaluationResult,
    *,
    compressor: CompressionBaseline | None = None,
    judgement: Judgement | None = None,
    contamination: Sequence[Contamination] = (),
) -> Outcome:
    """Gathers the figures of a run from its parts.

    Args:
        compressor: what a model that writes is compared with.
        judgement: of a night.
        contamination: of what the model was judged by.
    """
    finished = [
        record
        for record in JournalReader(RunLayout(context.layout.run(model.digest)).journal).read()
        if record["event"] in ("started", "resumed", "finished")
    ]
    known = figures.memorisation
    facts = {key: value for record in finished for key, value in record.items()}
    return Outcome(
        model=version.name,
        version=version.version,
        champion=promotion.champion,
        standing=promotion.words,
        family=figures.family,
        figures=figures.figures,
        decides=figures.decides,
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
        probes=[each.model_dump() for each in figures.probes],
        contamination=[asdict(each) | {"share": each.share} for each in contamination],
        memorisation=known.model_dump() | {"share": known.share} if known else None,
    )


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


@task(
    name="report",
    task_run_name="report",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def report(context: FlowContext, model: Ref, corpus: Ref, outcome: Outcome, card: str) -> None:
    """Logs figures, curve, report and model card to MLflow, and the report to Prefect."""
    tracker = context.tracker
    tracker.log_metrics(
        {metrics.evaluation(name): value for name, value in outcome.figures.items()}
        | {metrics.baseline(_key(name)): value for name, value in outcome.baselines.items()}
        | {
            metrics.probe(each["name"], name): value
            for each in outcome.probes
            for name, value in {metrics.ACCURACY: each["accuracy"], **each["beside"]}.items()
        }
        | {metrics.contamination(each["name"]): each["share"] for each in outcome.contamination}
        | (
            {metrics.evaluation(metrics.MEMORISED): outcome.memorisation["share"]}
            if outcome.memorisation
            else {}
        )
    )
    curve = draw_curve(RunLayout(context.layout.run(model.digest)).journal)
    counts = read_manifest(corpus.path)["counts"]
    tracker.log_bytes(curve, "loss.png", "report")
    tracker.log_text(json.dumps(asdict(outcome), ensure_ascii=False, indent=2), "outcome.json")
    tracker.log_text(render(outcome, counts, "loss.png"), "report/report.md")
    tracker.log_text(card, "report/model_card.md")
    describe(context.settings, outcome.model, outcome.version, card.split("---\n", 2)[-1])
    picture = f"data:image/png;base64,{base64.b64encode(curve).decode()}"
    create_markdown_artifact(
        render(outcome, counts, picture),
        key="report",
        description=f"{as_text(outcome.model)} report",
    )


def draw_curve(journal: Path) -> bytes:
    """Training and held-out loss by tokens seen, as a PNG."""
    from matplotlib.figure import Figure

    train: dict[int, float] = {}
    held_out: dict[int, float] = {}
    for record in JournalReader(journal).read():
        found = record.get("metrics", {})
        if metrics.TRAIN_LOSS in found:
            train[record["step"]] = found[metrics.TRAIN_LOSS]
        if metrics.VALIDATION_LOSS in found:
            held_out[record["step"]] = found[metrics.VALIDATION_LOSS]
    figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot(list(train), list(train.values()), color="#9db8d9", lw=1.2, label="train")
    axes.plot(
        list(held_out), list(held_out.values()), color="#1f4e8c", marker="o", label="held out"
    )
    axes.set(xlabel="step", ylabel="loss, nats a token")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def render(outcome: Outcome, counts: dict[str, Any], curve: str) -> str:
    """The report as markdown; `curve` is the address of the picture."""
    name, standing = as_text(outcome.model), as_text(outcome.standing)
    documents = counts["documents"]
    samples = "\n".join(map(_shown, outcome.samples))
    baselines = "\n".join(f"| {each} | {value:.3f} |" for each, value in outcome.baselines.items())
    others = "\n".join(
        f"| {in_words(key)} | {value:.3f} |"
        for key, value in outcome.figures.items()
        if key != outcome.decides
    )
    signature = f"\n`{outcome.signature}`\n" if outcome.signature else ""
    return f"""# {name} version {outcome.version} ({standing})

![loss curve]({curve})

| {in_words(outcome.decides)} of the held-out documents | |
|---|---|
| **{name} version {outcome.version}** | **{outcome.score:.3f}** |
{baselines}
{signature}{_judged(outcome)}
| also | |
|---|---|
{others}

| the run | |
|---|---|
| parameters | {outcome.parameters:,} |
| tokens seen | {outcome.tokens_seen:,} in {outcome.training_seconds:,.0f} s |
| held out | {outcome.held_out_documents:,} documents, {outcome.held_out_bytes:,} bytes, \
scored in {outcome.precision} |
| documents | {documents["in"]:,} in, {documents["kept"]:,} kept, \
{documents["in"] - documents["kept"]:,} dropped |

## {SHOWN[outcome.decides]}

{samples}

[MLflow run]({outcome.mlflow_url}) · [Prefect flow run]({outcome.flow_run_url})
"""


def _judged(outcome: Outcome) -> str:
    """Why a night was promoted or refused, and its figures."""
    if not outcome.compared:
        return ""
    reasons = "\n".join(f"- {as_text(reason)}" for reason in outcome.reasons)
    rows = "\n".join(
        f"| {as_text(row['text'])} | {row['candidate']:.4f} | {row['champion']:.4f} "
        f"| {row['gain']:+.2%} | {row['low']:+.2%} to {row['high']:+.2%} "
        f"| {row['blocks']}{' (few)' if row['few'] else ''} |"
        for row in outcome.compared
    )
    return f"""
## Why

{reasons}

| held-out text | this model | the champion | gain | 95 % | blocks |
|---|---|---|---|---|---|
{rows}
"""


def _key(name: str) -> str:
    """A name as a key of MLflow."""
    return "_".join(re.findall(r"\w+", name))


def _shown(sample: Mapping[str, str | None]) -> str:
    """A prompt, what became of it, and what a person wrote, where that is known."""
    said = f"- **{as_text(sample['prompt'] or '')}** {as_text(sample['continuation'] or '')}"
    reference = sample["reference"]
    return said if reference is None else f"{said} *(reference: {as_text(reference)})*"
