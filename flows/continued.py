"""The flow `continue-pretraining`: the newest documents into the registered champion."""

import math
from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from corpusmill.flows.config import ContinueConfig, on_this_machine, resolve
from corpusmill.flows.recipes.catalogue import CONTINUED_RECIPES
from corpusmill.flows.tail import judge_and_register
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import find
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.corpus import ingest, select_new
from corpusmill.tasks.registration import fetch_champion
from corpusmill.tasks.reports.corpus.report import report_corpus
from corpusmill.tasks.shards import make_shards
from corpusmill.tasks.tracking import tracked_run
from corpusmill.tasks.training import train


@flow(name="continue-pretraining")
def continue_pretraining(
    recipe: str = "nightly", overrides: dict[str, Any] | None = None
) -> State[None] | None:
    """Trains the champion on the documents it has not met, then evaluates and registers.

    Args:
        recipe: a name in flows/recipes/catalogue.py, or `package.module:name` of one's own.
        overrides: dotted fields and their values, such as {"corpus.sources": ["/text/*.txt"]}.
    """
    config = on_this_machine(resolve(CONTINUED_RECIPES, recipe, overrides or {}))
    with tracked_run(recipe, config) as context:
        layout = context.layout
        champion, base = fetch_champion(context, config.registration.name)
        everything = ingest(context.settings, layout, config.corpus)
        new = select_new(layout, everything, find(layout, "corpus", champion.tag("corpus")))
        shards = make_shards(context.settings, layout, new, base, held_out=everything)
        report_corpus(context, new, base, shards)
        counts = read_manifest(shards.path)["counts"]["train"]
        if counts["tokens"] <= config.train.sequence_length:
            return Completed(
                message=f"Nothing new to learn: {counts['tokens']} new tokens to train on."
            )
        fitted = _fit(config, counts)
        model = train(context, shards, base, None, fitted, initialize_from=base)
        judge_and_register(
            context,
            model=model,
            trained_on=new,
            held_out=everything,
            evaluation=config.evaluation,
            name=config.registration.name,
            inputs={"corpus": new, "initialize_from": base, "shards": shards},
            inherited_licences=champion.tags.get("licences", "").split("; "),
        )
    return None


def _fit(config: ContinueConfig, counts: Mapping[str, int]) -> TrainConfig:
    """The steps that `max_epochs` over so much text take, but never more than max_steps."""
    if any(each.objective == "translation" for each in config.train.objectives):
        samples = counts["documents"] // 2
    else:
        samples = math.ceil((counts["tokens"] - 1) / config.train.sequence_length)
    steps = math.ceil(config.max_epochs * samples / config.train.global_batch_size)
    steps = min(steps, config.train.max_steps)
    schedule = config.train.schedule
    warmup_steps = min(schedule.warmup_steps, steps - 1)
    schedule = schedule.model_copy(update={"warmup_steps": warmup_steps})
    return config.train.model_copy(update={"max_steps": steps, "schedule": schedule})
