"""Fine-tuning as tasks: the start, training, answers, opponents, the registry and the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.tasks.config import Beginning, MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage import aliases, metrics, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ModelError
from corpusmill.storage.examples.reading import kind_of, read_examples
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.served import labelling
from corpusmill.storage.versions import CHAMPION, EXAMPLES, STARTED_FROM, RegisteredModel
from corpusmill.tasks.registration import Promotion, register
from corpusmill.tasks.reports.figures import render_table, told_of
from corpusmill.tasks.reports.model_card import render_teaching
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import finetuning, training
from corpusmill.tasks.stages.answers import System, metric_of, read_system, table_of
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.learned_text import learned_text
from corpusmill.tasks.stages.lineage import examples_files
from corpusmill.tasks.stages.origin import bring_model
from corpusmill.tasks.stages.predictions import compare_systems
from corpusmill.tasks.tracking import FlowContext
from corpusmill.tasks.training import JournalFollower

MAJORITY, TFIDF = "majority", "tfidf"
_SIDES: tuple[Side, ...] = ("validation", "test")


@dataclass(frozen=True)
class Start:
    """What a fine-tuning begins with.

    Attributes:
        model: with its tokenizer.
        named: as a person reads it.
        corpora: that it and its line were trained on, as far as they are in the store, and the
            memory of the line.
    """

    model: Ref
    named: str
    corpora: tuple[Ref, ...]


@stage("bring-start")
def bring_start(context: FlowContext, start: str, folder: Path | None) -> Start:
    """The model to start from, in the store, with its tokenizer.

    Args:
        start: as a person named it.
        folder: that it means; None for a registered model.

    Raises:
        ConfigError: there is no such registered model.
        ModelError: the folder holds no model, or none that could learn a task.
    """
    if folder is None:
        version = aliases.version_at(context.settings, start)
        model = registry.fetch(context.settings, context.layout, version)
        named, corpora = version.uri, _corpora(context, version)
    elif folder.is_dir():
        model = bring_model(context.layout, str(folder), tokenizer=True)
        named, corpora = str(folder), ()
    else:
        raise ModelError(
            f"start is {start!r}, and there is no folder {folder}; expected a registered model, "
            "such as models:/bert-tiny@champion, or a folder in the Hugging Face format."
        )
    return Start(model, named, corpora)


def _corpora(context: FlowContext, version: RegisteredModel) -> tuple[Ref, ...]:
    found, gone = learned_text(context.layout, aliases.versions(context.settings), version)
    if gone:
        get_run_logger().warning(
            "%d of the corpora that %s goes back to are not in the store any more (%s): of what "
            "stood in them only the examples that were documents of their own can be told",
            len(gone),
            version.uri,
            ", ".join(digest[:12] for digest in gone),
        )
    return tuple(found)


@stage("finetune", retries=3)
def finetune_network(
    context: FlowContext, start: Ref, examples: Ref, method: MethodConfig, config: TrainConfig
) -> Ref:
    """Teaches the examples, goes on from the newest good checkpoint, or reuses the model.

    The journal is shown in MLflow and in Prefect's progress while it grows.

    Args:
        config: with precision and number of processes determined.
    """
    run = finetuning.plan_finetuning(context.layout, start, examples, method, config)
    follower = JournalFollower(run.files, context.tracker, config.max_steps)
    trained, reused = training.train(context.layout, run, follower)
    follower.finish(reused)
    return trained


@stage("answer", "answer-{name}")
def answer(
    context: FlowContext, model: Ref, examples: Ref, config: TrainConfig, name: str
) -> System:
    """What a model says of the examples for validation and test."""
    precision = config.hardware.precision
    assert precision != "auto"
    said = finetuning.make_predictions(context.layout, model, examples, precision)
    return read_system(name, said, tested=_tested(examples))


def _tested(examples: Ref) -> bool:
    return bool(read_manifest(examples.path)["counts"]["test"]["kept"])


@stage("measure-opponents")
def measure_opponents(
    context: FlowContext, start: Ref, examples: Ref, method: MethodConfig, config: TrainConfig
) -> list[System]:
    """What a model has to beat, each on the same examples.

    The most frequent label; a linear model of weighted n-grams; the same network from random
    weights, and with pretrained embeddings alone, which say what pretraining was worth.
    """
    layout, tested = context.layout, _tested(examples)
    found = [
        read_system(name, make_baseline(layout, examples, BaselineConfig(name=name)), tested=tested)
        for name in (MAJORITY, TFIDF)
    ]
    beginnings: tuple[Beginning, ...] = ("scratch", "embeddings")
    for begins in beginnings:
        fresh = MethodConfig.model_validate(
            {**method.model_dump(), "begins": begins, "name": "full"}
        )
        _, said = finetuning.teach(layout, start, examples, fresh, config)
        found.append(read_system(begins, said, tested=tested))
    return found


def register_labeller(
    context: FlowContext, name: str, model: Ref, start: Start, examples: Ref
) -> RegisteredModel:
    """Makes the model a version of `name` under the alias `candidate`."""
    tags = {
        EXAMPLES: examples.digest,
        STARTED_FROM: start.named,
        "prefect.flow_run_url": str(runtime.flow_run.ui_url),
    }
    shown = read_examples(examples.path, "train").rows([0])
    example = {"text": shown.texts} | ({"text_pair": shown.pairs} if shown.pairs else {})
    inputs = {"examples": examples, "initialize_from": start.model}
    served = labelling(example, kind_of(examples.path))
    return register(context, name, model, inputs, tags, served)


@stage("promote")
def compare_with_champion(
    context: FlowContext,
    candidate: RegisteredModel,
    said: System,
    examples: Ref,
    config: TrainConfig,
) -> Promotion:
    """Makes the candidate the champion if there is none, or if it is better on validation.

    Better is what a paired bootstrap over the validation examples says with 95 %; test decides
    nothing. A champion that cannot answer these examples stays one.
    """
    champion = aliases.find_by_alias(context.settings, candidate.name, CHAMPION)
    while champion is None or champion.version != candidate.version:
        if champion and (stays := _stays(context, champion, candidate, said, examples, config)):
            return stays
        champion = aliases.promote(context.settings, context.layout, candidate, champion)
    get_run_logger().info("version %s is the champion", candidate.version)
    return Promotion("promoted", "champion", candidate.version)


def _stays(
    context: FlowContext,
    champion: RegisteredModel,
    candidate: RegisteredModel,
    said: System,
    examples: Ref,
    config: TrainConfig,
) -> Promotion | None:
    """That the champion is not to be replaced, and why, or None."""
    if champion.content and champion.content == candidate.content:
        return None  # the same model, registered anew because its files were gone
    try:
        model = registry.fetch(context.settings, context.layout, champion)
        theirs = answer(context, model, examples, config, "champion")
        metric = metric_of(said)
        found = compare_systems([said.validation], [theirs.validation], metric)
    except Exception as error:
        # Any error: the candidate is trained and registered, and only the report is still to come.
        reason = str(error).split("\n")[0] or type(error).__name__
        words = (
            f"candidate; version {champion.version}, the champion, cannot be compared: "
            f"{reason.rstrip('.')}; to let version {candidate.version} take its place, give it the "
            "alias champion on the model's page in MLflow"
        )
        get_run_logger().warning(words)
        return Promotion("incomparable", words, champion.version)
    if found.low > 0:
        return None
    words = (
        f"candidate; not shown to be better than version {champion.version}, the champion: "
        f"{metric.name} {found.ours:.4f} against {found.theirs:.4f} on validation, a gain of "
        f"{found.gain:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    )
    get_run_logger().info(words)
    return Promotion("worse", words, champion.version, found.theirs)


@stage("report")
def report_figures(
    context: FlowContext,
    version: RegisteredModel,
    promotion: Promotion,
    said: System,
    opponents: Sequence[System],
    examples: Ref,
) -> None:
    """Writes figures to the run in MLflow, to the version, and tables into Prefect."""
    both = [each for each in opponents if each.name == TFIDF]
    systems = [*opponents, *(said.with_mean(each, f"mean with {TFIDF}") for each in both)]
    figures: dict[str, float] = {}
    tables: list[str] = []
    for side in _SIDES:
        rows = table_of(said, systems, side)
        for row in rows:
            prefix = side if row.gain is None else f"{side}/{row.name.replace(' ', '_')}"
            figures |= {metrics.labelled(prefix, name): value for name, value in row.others.items()}
        if rows:
            tables.append(render_table(side, rows, metric_of(said).name))
    context.tracker.log_metrics(figures)
    text = f"**{version.name} version {version.version}: {promotion.words}.**\n\n"
    text += "\n\n".join([*tables, *told_of(examples)])
    files = examples_files(context.layout, examples.digest)
    text += f"\n\n{render_teaching(version, files)}"
    context.tracker.log_text(text, "report/figures.md")
    registry.describe(context.settings, version.name, version.version, text)
    create_markdown_artifact(text, key="figures", description=f"What {version.name} answers.")
    for side in _SIDES:
        name = metrics.labelled(side, metric_of(said).name)
        if name in figures:
            get_run_logger().info("%s: %.4f", name, figures[name])
