"""A model brought along, as a task."""

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import origin


@stage("bring-model")
def bring_model(layout: Layout, source: str, *, tokenizer: bool = False) -> Ref:
    """Copies configuration and weights into the store, so that what a run began with stays.

    Args:
        tokenizer: whether that of the folder comes too, for what is not trained but used.

    Raises:
        ModelError: the folder holds no model that can be read.
    """
    return origin.bring_model(layout, source, tokenizer=tokenizer)
