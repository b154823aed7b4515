"""The tokenizer as a task."""

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import tokenizer


@stage("train-tokenizer")
def make_tokenizer(layout: Layout, corpus: Ref, config: TokenizerConfig) -> Ref:
    """Learns a vocabulary from a sample of the training split, or takes a given tokenizer."""
    return tokenizer.make_tokenizer(layout, corpus, config)
