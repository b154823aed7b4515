"""A model brought along, as a task."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages import origin


@task(
    name="bring-model",
    task_run_name="bring-model",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def bring_model(layout: Layout, source: str, *, tokenizer: bool = False) -> Ref:
    """Copies configuration and weights into the store, so that what a run began with stays.

    Args:
        tokenizer: whether that of the folder comes too, for what is not trained but used.

    Raises:
        ModelError: the folder holds no model that can be read.
    """
    return origin.bring_model(layout, source, tokenizer=tokenizer)
