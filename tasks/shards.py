"""Sharding: a corpus and a tokenizer in, Arrow token shards out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from tokenizers import Tokenizer

from model.tokenizer import encode_documents, load_tokenizer
from storage.artifacts import Ref, Spec, obtain, read_manifest
from storage.corpus.documents import read_documents
from storage.layout import Layout
from storage.shards import Split, write_shards


@task(name="shard", task_run_name="shard", cache_policy=NO_CACHE)
def make_shards(layout: Layout, corpus: Ref, tokenizer: Ref, held_out: Ref) -> Ref:
    """Encodes the training side of `corpus` and the validation side of `held_out`."""

    def write(directory: Path) -> dict[str, Any]:
        encoder = load_tokenizer(tokenizer.path)
        return {
            "train": _write_split(directory, "train", corpus, encoder),
            "validation": _write_split(directory, "validation", held_out, encoder),
        }

    inputs = {
        "corpus": corpus.digest,
        "tokenizer": tokenizer.digest,
        "held_out": held_out.digest,
    }
    shards, reused = obtain(layout, Spec("shards", 1, inputs), write)
    counts = read_manifest(shards.path)["counts"]
    get_run_logger().info(
        "shards %s: %s training tokens (%.2f bytes each), %s held out%s",
        shards.digest[:12],
        f"{counts['train']['tokens']:,}",
        counts["train"]["bytes"] / max(1, counts["train"]["tokens"]),
        f"{counts['validation']['tokens']:,}",
        " - reused" if reused else "",
    )
    return shards


def _write_split(
    directory: Path, split: Split, corpus: Ref, tokenizer: Tokenizer
) -> dict[str, int]:
    names: list[str] = []
    size = 0

    def texts() -> Iterator[str]:
        nonlocal size
        for document in read_documents(corpus.path, split):
            names.append(document.id)
            size += len(document.text.encode())
            yield document.text

    def encoded() -> Iterator[tuple[str, np.ndarray]]:
        # The encoder reads ahead in batches, and gives back in order.
        for number, ids in enumerate(encode_documents(tokenizer, texts())):
            yield names[number], ids

    counts = write_shards(directory, split, tokenizer.get_vocab_size(), encoded())
    return {**counts, "bytes": size}
