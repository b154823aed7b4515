"""Tokenizer training: a corpus in, a tokenizer folder out that loads with `AutoTokenizer`."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from model.tokenizer import TokenizerConfig, load_tokenizer, train_tokenizer
from storage.artifacts import Ref, Spec, obtain
from storage.corpus.documents import read_documents
from storage.layout import Layout


@task(name="train-tokenizer", task_run_name="train-tokenizer", cache_policy=NO_CACHE)
def make_tokenizer(layout: Layout, corpus: Ref, config: TokenizerConfig) -> Ref:
    """Learns a byte-level BPE from the corpus's training side."""

    def write(directory: Path) -> None:
        texts = (document.text for document in read_documents(corpus.path, "train"))
        train_tokenizer(texts, config, directory)

    spec = Spec("tokenizer", 1, {"corpus": corpus.digest}, config.model_dump(mode="json"))
    tokenizer, reused = obtain(layout, spec, write)
    get_run_logger().info(
        "tokenizer %s: %d tokens%s",
        tokenizer.digest[:12],
        load_tokenizer(tokenizer.path).get_vocab_size(),
        " - reused" if reused else "",
    )
    return tokenizer
