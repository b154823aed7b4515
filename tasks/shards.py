"""Sharding: a corpus and a tokenizer in, Arrow token shards out."""

import unicodedata
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from corpusmill.model.tokenizer.encoding import Encoder
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.artifacts import Ref, Spec, content_digest, discard, find_sound, obtain
from corpusmill.storage.corpus.pairs import pair_sources, part_pairs
from corpusmill.storage.corpus.partitions import CorpusPartition, partition_batches, plan_partitions
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import Settings
from corpusmill.storage.shards.parts import assemble, write_part
from corpusmill.storage.splits import Split
from corpusmill.tasks.mapping import map_partitions
from corpusmill.tasks.retries import can_be_retried

FORMAT_VERSION = 4
_ENGINES = {"tokenizers": version("tokenizers"), "unicode": unicodedata.unidata_version}


def make_shards(
    settings: Settings, layout: Layout, corpus: Ref, tokenizer: Ref, held_out: Ref
) -> Ref:
    """Encodes the training side of `corpus` and the validation side of `held_out`."""
    spec = shards_spec(corpus, tokenizer, held_out)
    found = find_sound(layout, spec)
    if found:
        _log(found, reused=True)
        return found
    partitions = [*plan_partitions(corpus, "train"), *plan_partitions(held_out, "validation")]
    # A cluster has as many tasks at work on a machine as it has cores.
    threads = None if settings.task_runner == "local" else 1
    calls = [
        {"layout": layout, "documents": each, "tokenizer": tokenizer, "threads": threads}
        for each in partitions
    ]
    sizes = [each.size for each in partitions]
    parts = map_partitions(settings, tokenize, calls, sizes, "tokenize", uses_all_cores=True)
    by_split: dict[Split, list[Ref]] = {"train": [], "validation": []}
    for each, part in zip(partitions, parts, strict=True):
        by_split[each.split].append(part)
    return shard(layout, spec, tokenizer, by_split)


def shards_spec(corpus: Ref, tokenizer: Ref, held_out: Ref) -> Spec:
    """What shards are made from: of the tokenizer, its bytes count.

    A tokenizer that is trained again may number its tokens otherwise. `fastokens` is not part of
    it: it is used only where it gives the same ids as `tokenizers`.
    """
    inputs = {
        "corpus": corpus.digest,
        "tokenizer": content_digest(tokenizer),
        "held_out": held_out.digest,
    }
    return Spec("shards", FORMAT_VERSION, inputs, _ENGINES)


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
    inputs = {"corpus": documents.corpus.digest, "tokenizer": content_digest(tokenizer)}
    place = {"split": documents.split, "first": documents.first, "last": documents.last}
    spec = Spec("tokens", FORMAT_VERSION, inputs, place | _ENGINES)
    part, _ = obtain(
        layout, spec, lambda directory: _write_part(directory, documents, tokenizer, threads)
    )
    return part


@task(
    name="shard",
    task_run_name="shard",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def shard(layout: Layout, spec: Spec, tokenizer: Ref, parts: dict[Split, list[Ref]]) -> Ref:
    """Puts the encoded documents together, in their order, into the shards."""
    vocab_size = load_tokenizer(tokenizer.path).get_vocab_size()

    def write(directory: Path) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for split, refs in parts.items():
            names = [part.path / read_manifest(part.path)["counts"]["part"] for part in refs]
            counts[split] = assemble(directory, split, vocab_size, names)
        counts["validation"]["lost_bytes"] = sum(
            read_manifest(part.path)["counts"]["lost_bytes"] for part in parts["validation"]
        )
        engines = {_engine(part) for refs in parts.values() for part in refs}
        return {**counts, "engines": sorted(engines)}

    shards, reused = obtain(layout, spec, write)
    for refs in parts.values():
        for part in refs:
            discard(part)
    _log(shards, reused)
    return shards


# Each encoder is tested on hostile text first: once a process, not once a partition, and again if
# the tokenizer, of whose bytes `content` is the digest, has changed.
@lru_cache(maxsize=1)
def _encoder(tokenizer: Path, content: str, threads: int | None) -> Encoder:  # noqa: ARG001
    return Encoder(tokenizer, threads)


def _write_part(
    directory: Path, documents: CorpusPartition, tokenizer: Ref, threads: int | None
) -> dict[str, Any]:
    encoder = _encoder(tokenizer.path, content_digest(tokenizer), threads)
    columns: dict[str, list[pa.Array]] = {"id": [], "source": [], "language": []}
    ids, ends, sizes = [], [], []
    total = lost = 0
    pairs = pair_sources(documents.corpus.path)
    for kept in partition_batches(documents):
        batch = part_pairs(kept, pairs)
        text = batch.column("text")
        batch_ids, batch_ends = encoder.encode(text)
        ids.append(batch_ids)
        ends.append(batch_ends + total)
        sizes.append(np.asarray(pc.binary_length(text)))
        total += len(batch_ids)
        if documents.split == "validation":  # which costs as much time again
            lost += encoder.lost_bytes(text, batch_ids, batch_ends)
        for name, arrays in columns.items():
            arrays.append(batch.column(name))
    name, source, language = (pa.concat_arrays(arrays) for arrays in columns.values())
    part = write_part(
        directory,
        0,
        np.concatenate(ids),
        ends=np.concatenate(ends),
        document_ids=name,
        sources=source,
        languages=language,
        sizes=np.concatenate(sizes),
    )
    return {
        "part": part.name,
        "engine": encoder.engine,
        "engine_note": encoder.engine_note,
        "lost_bytes": lost,
    }


def _engine(part: Ref) -> str:
    counts = read_manifest(part.path)["counts"]
    note = f" ({counts['engine_note']})" if counts["engine_note"] else ""
    return f"{counts['engine']}{note}"


def _log(shards: Ref, reused: bool) -> None:
    counts = read_manifest(shards.path)["counts"]
    get_run_logger().info(
        "shards %s: %s training tokens (%.2f bytes each), %s held out, by %s%s",
        shards.digest[:12],
        f"{counts['train']['tokens']:,}",
        counts["train"]["bytes"] / max(1, counts["train"]["tokens"]),
        f"{counts['validation']['tokens']:,}",
        ", ".join(counts["engines"]) or "none",
        " - reused" if reused else "",
    )
