"""Fine-tuning as tasks: the start, training, answers, opponents and the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, runtime

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.tasks.config import Beginning, MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage import aliases, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ModelError
from corpusmill.storage.examples.reading import kind_of, read_examples
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.served import labelling
from corpusmill.storage.versions import CHAMPION, EXAMPLES, STARTED_FROM, RegisteredModel
from corpusmill.tasks.registration import Promotion, register
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import finetuning, training
from corpusmill.tasks.stages.answers import System, metric_of, read_system
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.learned_text import learned_text
from corpusmill.tasks.stages.learning_curve import (
    LEARNERS,
    Learner,
    Point,
    make_learning_curve,
    points_of,
)
from corpusmill.tasks.stages.origin import bring_model
from corpusmill.tasks.stages.predictions import compare_systems
from corpusmill.tasks.tracking import FlowContext
from corpusmill.tasks.training import JournalFollower

MAJORITY, TFIDF = "majority", "tfidf"


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


@stage("measure-learning-curve")
def measure_learning_curve(
    context: FlowContext,
    start: Ref,
    examples: Ref,
    method: MethodConfig,
    config: TrainConfig,
    *,
    shares: Sequence[float],
    whole: Sequence[System],
) -> Mapping[Learner, Sequence[Point]]:
    """How good the network, random weights and the linear model are with fewer labels.

    Args:
        shares: of the labels; none for no curve.
        whole: what learned from all of them, among others.

    Returns:
        Figures on test, or on validation where there is none; nothing without shares.
    """
    if not shares:
        return {}
    workers = context.settings.processors
    taught = make_learning_curve(
        context.layout, start, examples, method, config, shares, processors=workers
    )
    systems = {each.name: each for each in whole}
    learners = {name: systems["candidate" if name == "pretrained" else name] for name in LEARNERS}
    side: Side = "test" if _tested(examples) else "validation"
    return points_of(taught, learners, examples, side)


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
    found = Promotion("promoted", "champion; it was the champion already", candidate.version)
    while champion is None or champion.version != candidate.version:
        if champion:
            found = _judged(context, champion, candidate, said, examples, config)
        else:
            found = Promotion("promoted", "champion; the first of its name", candidate.version)
        if not found.champion:
            return found
        champion = aliases.promote(context.settings, context.layout, candidate, champion)
    get_run_logger().info("version %s is the champion", candidate.version)
    return found


def _judged(
    context: FlowContext,
    champion: RegisteredModel,
    candidate: RegisteredModel,
    said: System,
    examples: Ref,
    config: TrainConfig,
) -> Promotion:
    """Whether the champion is to be replaced, and why or why not."""
    if champion.content and champion.content == candidate.content:
        # Registered anew because its files were gone.
        words = f"champion; the same model as version {champion.version}"
        return Promotion("promoted", words, candidate.version)
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
    figures = (
        f"{metric.name} {found.ours:.4f} against {found.theirs:.4f} on validation, a gain of "
        f"{found.gain:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    )
    if found.low > 0:
        words = f"champion; better than version {champion.version}, the champion before: {figures}"
        return Promotion("promoted", words, candidate.version)
    words = (
        f"candidate; not shown to be better than version {champion.version}, the champion: "
        f"{figures}"
    )
    get_run_logger().info(words)
    return Promotion("worse", words, champion.version, found.theirs)
