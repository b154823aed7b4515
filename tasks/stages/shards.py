"""Sharding: a corpus and a tokenizer in, Arrow token shards out."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.model.tokenizer.encoding import Encoder
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.artifacts import Ref, Spec, content_digest, discard, find_sound, obtain
from corpusmill.storage.corpus.pairs import pair_sources, part_pairs
from corpusmill.storage.corpus.partitions import CorpusPartition, partition_batches, plan_partitions
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.shards.parts import assemble, write_part
from corpusmill.storage.splits import SPLITS, Split
from corpusmill.tasks.stages.progress import Bar, gather

FORMAT_VERSION = 4
_LOGGER = logging.getLogger(__name__)
_ENGINES = {"tokenizers": version("tokenizers"), "unicode": unicodedata.unidata_version}


@dataclass(frozen=True)
class ShardsPlan:
    """What there is to do for shards.

    Attributes:
        spec: what they are made from.
        tokenizer: with which.
        partitions: of documents, to be encoded each by itself.
        shards: where they are there already and sound.
    """

    spec: Spec
    tokenizer: Ref
    partitions: tuple[CorpusPartition, ...]
    shards: Ref | None

    @property
    def sizes(self) -> list[int]:
        """Bytes of the partitions."""
        return [each.size for each in self.partitions]


def plan_shards(layout: Layout, corpus: Ref, tokenizer: Ref, held_out: Ref) -> ShardsPlan:
    """Finds the shards that were made of the same before, or plans what makes them."""
    spec = shards_spec(corpus, tokenizer, held_out)
    found = find_sound(layout, spec)
    if found:
        _log(found, reused=True)
        return ShardsPlan(spec, tokenizer, (), found)
    partitions = (*plan_partitions(corpus, "train"), *plan_partitions(held_out, "validation"))
    return ShardsPlan(spec, tokenizer, partitions, None)


def make_shards(layout: Layout, corpus: Ref, tokenizer: Ref, held_out: Ref, bar: Bar) -> Ref:
    """Encodes the training side of `corpus` and the validation side of `held_out`."""
    plan = plan_shards(layout, corpus, tokenizer, held_out)
    if plan.shards:
        return plan.shards
    encoded = (tokenize(layout, each, tokenizer, None) for each in plan.partitions)
    return join(layout, plan, gather(encoded, plan.sizes, "tokenize", bar))


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


def join(layout: Layout, plan: ShardsPlan, parts: Sequence[Ref]) -> Ref:
    """Puts the encoded documents together, in their order, into the shards.

    Args:
        parts: of the plan's partitions, one for each; they are discarded.
    """
    vocab_size = load_tokenizer(plan.tokenizer.path).get_vocab_size()
    counted = {part: read_manifest(part.path)["counts"] for part in parts}
    sides: dict[Split, list[Ref]] = {
        split: [
            part
            for partition, part in zip(plan.partitions, parts, strict=True)
            if partition.split == split
        ]
        for split in SPLITS
    }

    def write(directory: Path) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for split, refs in sides.items():
            names = [part.path / counted[part]["part"] for part in refs]
            counts[split] = assemble(directory, split, vocab_size, names)
        lost = sum(counted[part]["lost_bytes"] for part in sides["validation"])
        counts["validation"]["lost_bytes"] = lost
        return {**counts, "engines": sorted({_engine(each) for each in counted.values()})}

    shards, reused = obtain(layout, plan.spec, write)
    for part in parts:
        discard(part)
    _log(shards, reused)
    return shards


# Each encoder is tried on hostile text first: once a process, not once a partition, and again when
# the tokenizer, of whose bytes `content` is the digest, has been made anew.
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


def _engine(counts: Mapping[str, Any]) -> str:
    note = f" ({counts['engine_note']})" if counts["engine_note"] else ""
    return f"{counts['engine']}{note}"


def _log(shards: Ref, reused: bool) -> None:
    counts = read_manifest(shards.path)["counts"]
    _LOGGER.info(
        "shards %s: %s training tokens (%.2f bytes each), %s held out, by %s%s",
        shards.digest[:12],
        f"{counts['train']['tokens']:,}",
        counts["train"]["bytes"] / max(1, counts["train"]["tokens"]),
        f"{counts['validation']['tokens']:,}",
        ", ".join(counts["engines"]) or "none",
        " - reused" if reused else "",
    )
