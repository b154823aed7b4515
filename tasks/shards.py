"""Sharding as tasks: one for each partition of documents, one that joins what they made."""

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.partitions import CorpusPartition
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings
from corpusmill.tasks.mapping import map_partitions
from corpusmill.tasks.retries import stage
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


@stage("tokenize", "tokenize-{documents.split}-{documents.number}", delay=0)
def tokenize(
    layout: Layout, documents: CorpusPartition, tokenizer: Ref, threads: int | None
) -> Ref:
    """Encodes the documents of one partition."""
    return shards.tokenize(layout, documents, tokenizer, threads)


@stage("shard")
def shard(layout: Layout, plan: ShardsPlan, parts: list[Ref]) -> Ref:
    """Puts the encoded documents together, in their order, into the shards."""
    return shards.join(layout, plan, parts)
