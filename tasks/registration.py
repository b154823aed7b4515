"""Registration: a model and its figures in, a version in the MLflow registry out."""

from collections.abc import Mapping

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from model.config import EvaluationConfig, EvaluationResult
from storage import registry
from storage.artifacts import Ref
from storage.registry import CHAMPION, RegisteredModel
from tasks.evaluation import evaluate, in_words
from tasks.tracking import FlowContext


@task(
    name="register",
    task_run_name="register",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
)
def register(
    context: FlowContext, name: str, model: Ref, tags: Mapping[str, str], example: str
) -> RegisteredModel:
    """Makes the model a version of `name` under the alias `candidate`."""
    version = registry.register(
        context.settings, context.tracker.run_id, name, model, tags, example
    )
    context.tracker.set_tags({"registered_model": f"{version.name} v{version.version}"})
    get_run_logger().info("registered as %s version %s", version.name, version.version)
    return version


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE)
def promote_if_better(
    context: FlowContext,
    candidate: RegisteredModel,
    figures: EvaluationResult,
    corpus: Ref,
    config: EvaluationConfig,
) -> bool:
    """Makes the candidate the champion if there is none, or if it is better.

    The champion is scored on the same held-out documents as the candidate, with the tokenizer of
    its own.
    """
    logger, settings, layout = get_run_logger(), context.settings, context.layout
    champion = registry.find_by_alias(settings, candidate.name, CHAMPION)
    if champion and champion.version == candidate.version:
        logger.info("version %s is the champion already", candidate.version)
        return True
    if champion:
        model = registry.fetch(settings, layout, champion)
        theirs = evaluate(layout, model, corpus, config, "champion")
        if not figures.better_than(theirs):
            logger.info(
                "version %s stays the champion: %.3f against %.3f %s",
                champion.version,
                theirs.score,
                figures.score,
                in_words(figures.decides),
            )
            return False
    registry.promote(settings, candidate)
    logger.info("version %s is the champion now", candidate.version)
    return True
