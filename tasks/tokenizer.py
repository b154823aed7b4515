"""The tokenizer as a task."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages import tokenizer


@task(
    name="train-tokenizer",
    task_run_name="train-tokenizer",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def make_tokenizer(layout: Layout, corpus: Ref, config: TokenizerConfig) -> Ref:
    """Learns a vocabulary from a sample of the training split, or takes a given tokenizer."""
    return tokenizer.make_tokenizer(layout, corpus, config)
