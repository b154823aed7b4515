"""The flow `pretrain`: from files to a registered model."""

from typing import Any

from prefect import flow

from corpusmill.flows.config import on_this_machine, resolve
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.flows.run_names import name_pretraining
from corpusmill.flows.tail import judge_and_register
from corpusmill.tasks.corpus import find_sources, make_corpus
from corpusmill.tasks.nights import keep_memory
from corpusmill.tasks.origin import bring_model
from corpusmill.tasks.registration import look_at_champion
from corpusmill.tasks.reports.corpus.report import report_corpus
from corpusmill.tasks.shards import make_shards
from corpusmill.tasks.tokenizer import make_tokenizer
from corpusmill.tasks.tracking import begin_flow, tracked_run
from corpusmill.tasks.training import train


@flow(name="pretrain", flow_run_name=name_pretraining)
def pretrain(recipe: str = "gpt-tiny", overrides: dict[str, Any] | None = None) -> None:
    """Ingest, train a tokenizer, shard, train a network, evaluate, register.

    Args:
        recipe: a name in flows/recipes/catalogue.py, or `package.module:name` of one's own.
        overrides: dotted fields and their values, such as {"train.max_steps": 100}.
    """
    config = on_this_machine(resolve(RECIPES, recipe, overrides or {}))
    with tracked_run(begin_flow(), config.registration.name, recipe, config) as context:
        layout = context.layout
        look_at_champion(context, config.registration.name)
        plan = find_sources(layout, config.corpus)
        corpus = make_corpus(context.settings, layout, plan, config.corpus)
        start = bring_model(layout, config.initialize_from) if config.initialize_from else None
        tokenizer = make_tokenizer(layout, corpus, config.tokenizer)
        shards = make_shards(context.settings, layout, corpus, tokenizer, held_out=corpus)
        report_corpus(context, corpus, tokenizer, shards)
        shape = None if start else config.model
        model = train(context, shards, tokenizer, shape, config.train, initialize_from=start)
        judge_and_register(
            context,
            model=model,
            trained_on=corpus,
            held_out=corpus,
            memory=keep_memory(layout, None, corpus, plan.sources, shards),
            evaluation=config.evaluation,
            name=config.registration.name,
            inputs={"corpus": corpus, "tokenizer": tokenizer, "shards": shards}
            | ({"initialize_from": start} if start else {}),
        )
