"""Sharding as tasks: one for each partition of documents, one that joins what they made."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.partitions import CorpusPartition
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings
from corpusmill.tasks.mapping import map_partitions
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages import shards
from corpusmill.tasks.stages.shards import ShardsPlan


def make_shards(
    settings: Settings, layout: Layout, corpus: Ref, tokenizer: Ref, held_out: Ref
) -> Ref:
    """Encodes the training side of `corpus` and the validation side of `held_out`."""
    plan = shards.plan_shards(layout, corpus, tokenizer, held_out)
    if plan.shards:
        return plan.shards
    # A cluster has as many tasks at work on a machine as it has cores.
    threads = None if settings.task_runner == "local" else 1
    calls = [
        {"layout": layout, "documents": each, "tokenizer": tokenizer, "threads": threads}
        for each in plan.partitions
    ]
    parts = map_partitions(settings, tokenize, calls, plan.sizes, "tokenize", uses_all_cores=True)
    return shard(layout, plan, parts)


@task(
    name="tokenize",
    task_run_name="tokenize-{documents.split}-{documents.number}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_condition_fn=can_be_retried,
)
def tokenize(
    layout: Layout, documents: CorpusPartition, tokenizer: Ref, threads: int | None
) -> Ref:
    """Encodes the documents of one partition."""
    return shards.tokenize(layout, documents, tokenizer, threads)


@task(
    name="shard",
    task_run_name="shard",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def shard(layout: Layout, plan: ShardsPlan, parts: list[Ref]) -> Ref:
    """Puts the encoded documents together, in their order, into the shards."""
    return shards.join(layout, plan, parts)
