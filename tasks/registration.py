"""Registration: a model and its figures in, a version in the MLflow registry out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefect import get_run_logger

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.storage import aliases, registry
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Ledger, Rejected
from corpusmill.storage.markup import command
from corpusmill.storage.served import Served
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import (
    CHAMPION,
    DIGEST,
    MEMORY,
    RegisteredModel,
    check_language_model,
)
from corpusmill.tasks.evaluation import evaluate
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.stages.judgement import Judgement
from corpusmill.tasks.tracking import FlowContext


@dataclass(frozen=True)
class Promotion:
    """Whether a new version of a model was promoted.

    Attributes:
        kind: promoted; of a first run worse or incomparable; of a night the verdict on it, or
            overtaken where it was judged better than a champion that is none any more.
        words: the same for a person to read, with the reason if it was not promoted.
        holder: number of the version that has the MLflow alias `champion`.
        holder_score: its figure that decides, of a first run that is worse.
    """

    kind: Literal["promoted", "worse", "incomparable", "harm", "unproven", "overtaken"]
    words: str
    holder: str
    holder_score: float | None = None

    @property
    def champion(self) -> bool:
        """Whether the new version has the alias."""
        return self.kind == "promoted"


@stage("look-at-champion")
def look_at_champion(context: FlowContext, name: str) -> None:
    """Warns, before training is paid for, of a champion that no candidate can be compared with."""
    champion = aliases.find_by_alias(context.settings, name, CHAMPION)
    if champion is None:
        return
    try:
        registry.fetch(context.settings, context.layout, champion)
    except Exception as error:
        get_run_logger().warning(
            "version %s, the champion, cannot be compared with what is trained here, which will be "
            "registered and not take its place: %s",
            champion.version,
            error,
        )


@stage("find-champion")
def find_champion(
    settings: Settings, name: str
) -> tuple[RegisteredModel, Mapping[str, Any]] | None:
    """The champion of this name and the config that it was made by; None where there is none yet.

    Raises:
        ConfigError: its config is gone, another tool registered it, or it answers with labels.
        ServerError: the MLflow server does not answer.
    """
    champion = aliases.champion_of(settings, name)
    if champion is None:
        return None
    champion.tag(DIGEST)  # which it has if it is ours
    check_language_model(champion)
    return champion, aliases.config_of(settings, champion)


@stage("fetch-champion")
def fetch_champion(settings: Settings, layout: Layout, champion: RegisteredModel) -> Ref:
    """The model folder of a champion, to be trained on.

    Raises:
        ConfigError: another tool registered it.
        ServerError: the MLflow server does not answer.
        ArtifactError: its files are gone.
    """
    return registry.fetch(settings, layout, champion)


@stage("register")
def register(
    context: FlowContext,
    name: str,
    model: Ref,
    inputs: Mapping[str, Ref],
    tags: Mapping[str, str],
    served: Served,
) -> RegisteredModel:
    """Makes the model, which is `served` so, a version of `name` under the alias `candidate`."""
    for kind, ref in inputs.items():
        context.tracker.log_dataset(kind, ref, "training")
    version = registry.register(context.layout, context.tracker, name, model, tags, served)
    context.tracker.set_tags({"registered_model": f"{version.name} v{version.version}"})
    get_run_logger().info("registered as %s version %s", version.name, version.version)
    return version


@stage("promote")
def promote_if_better(
    context: FlowContext,
    candidate: RegisteredModel,
    figures: EvaluationResult,
    corpus: Ref,
    config: EvaluationConfig,
) -> Promotion:
    """Makes the candidate the champion if there is none, or if it is better.

    The champion is scored on the same held-out documents as the candidate, with its own tokenizer.
    If it cannot be scored it stays champion, for nothing shows that the candidate is better. If
    another flow promotes its model meanwhile, the candidate is compared with that one.
    """
    champion = aliases.find_by_alias(context.settings, candidate.name, CHAMPION)
    while champion is None or champion.version != candidate.version:
        if champion:
            stays = _stays(context, champion, candidate, figures, corpus, config)
            if stays:
                return stays
        else:
            get_run_logger().info(
                "to have it learn every night: %s",
                command("nightly", candidate.name, "--at", "02:00"),
            )
        champion = aliases.promote(context.settings, context.layout, candidate, champion)
    return _promoted(context, candidate)


@stage("decide")
def promote_by_judgement(
    context: FlowContext,
    candidate: RegisteredModel,
    champion: RegisteredModel,
    judgement: Judgement,
    config: str,
) -> Promotion:
    """Makes the candidate of a night the champion if it was judged better; notes it if not.

    If another flow promotes its model meanwhile, the candidate, which was not compared with that
    one, stays a candidate, and the next night tries the text again.

    Args:
        champion: that it was judged against.
        config: digest of how it was trained and judged.
    """
    if judgement.promoted:
        found = aliases.promote(context.settings, context.layout, candidate, champion)
        if found.version == candidate.version:
            return _promoted(context, candidate)
        reason = f"version {found.version} became the champion meanwhile"
        get_run_logger().warning("%s; the text is tried again by the next night", reason)
        return Promotion("overtaken", f"refused; {reason}", found.version)
    rejected = Rejected(candidate.version, candidate.tag(MEMORY), config)
    Ledger(context.layout, candidate.name).reject(rejected)
    holder = aliases.find_by_alias(context.settings, candidate.name, CHAMPION) or champion
    reason = judgement.reasons[0]
    get_run_logger().warning("version %s is the champion: %s", holder.version, reason)
    return Promotion(judgement.verdict, f"refused; {reason}", holder.version)


def _promoted(context: FlowContext, candidate: RegisteredModel) -> Promotion:
    Ledger(context.layout, candidate.name).promote(candidate.version)
    get_run_logger().info("version %s is the champion", candidate.version)
    return Promotion("promoted", "champion", candidate.version)


def _stays(
    context: FlowContext,
    champion: RegisteredModel,
    candidate: RegisteredModel,
    figures: EvaluationResult,
    corpus: Ref,
    config: EvaluationConfig,
) -> Promotion | None:
    """That the champion is not to be replaced, and why, or None."""
    logger = get_run_logger()
    if champion.content and champion.content == candidate.content:
        return None  # the same model, registered anew because its files were gone
    try:
        model = registry.fetch(context.settings, context.layout, champion)
        theirs = evaluate(context.layout, model, corpus, config, "champion")
    except Exception as error:
        # Any error: the candidate is trained and registered, and only the report is still to come.
        reason = str(error).split("\n")[0] or type(error).__name__
    else:
        if theirs.judged_by == figures.judged_by:
            if figures.better_than(theirs):
                return None
            said = (
                f"version {champion.version}, the champion, is better: {theirs.score:.3f} against "
                f"{figures.score:.3f}"
            )
            logger.info("%s %s", said, in_words(figures.decides))
            return Promotion("worse", f"candidate; {said}", champion.version, theirs.score)
        mine, its = (_judged_by(each) for each in (figures, theirs))
        reason = f"it is judged by {its}, not {mine}"
    said = (
        f"version {champion.version}, the champion, cannot be compared: {reason.rstrip('.')}; to "
        f"let version {candidate.version} take its place, give it the alias champion on the "
        "model's page in MLflow"
    )
    logger.warning(said)
    return Promotion("incomparable", f"candidate; {said}", champion.version)


def _judged_by(figures: EvaluationResult) -> str:
    signed = f" ({figures.signature})" if figures.signature else ""
    return f"{in_words(figures.decides)}{signed}"
