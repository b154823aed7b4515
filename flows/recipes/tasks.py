"""Recipes of fine-tuning: each a function; the examples are named by whoever runs it."""

from collections.abc import Callable, Mapping

from corpusmill.flows.task_config import FinetuneConfig
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.tasks.labelled.config import ExamplesConfig


def classify() -> FinetuneConfig:
    """One label a text, or a pair of texts: sentiment, topic, intent, acceptability."""
    return _of_kind("classification")


def tag() -> FinetuneConfig:
    """Any number of labels a text."""
    return _of_kind("several")


def rate() -> FinetuneConfig:
    """A number a text, or a pair of texts, such as how similar they are."""
    return _of_kind("regression")


def _of_kind(kind: TaskKind) -> FinetuneConfig:
    # Not validated, for the examples are still to be named.
    examples = ExamplesConfig.model_construct(train=(), kind=kind)
    return FinetuneConfig.model_construct(task=examples)


TASK_RECIPES: Mapping[str, Callable[[], FinetuneConfig]] = {
    "classify": classify,
    "tag": tag,
    "rate": rate,
}
