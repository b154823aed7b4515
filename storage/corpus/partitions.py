"""Partitions of a corpus: consecutive record batches of one side, for one task to work on."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import documents_path, record_batches
from corpusmill.storage.splits import Split

# Of one task, whether it reads files or a corpus.
PARTITION_BYTES = 64 << 20


@dataclass(frozen=True)
class CorpusPartition:
    """Some documents of one side of a corpus.

    Attributes:
        corpus: which.
        split: side of it.
        number: its place among the partitions of that side, from 0.
        first, last: record batches first ≤ index < last.
        size: UTF-8 bytes of the documents, with what Arrow needs for them.
    """

    corpus: Ref
    split: Split
    number: int
    first: int
    last: int
    size: int


def plan_partitions(
    corpus: Ref, split: Split, partition_bytes: int = PARTITION_BYTES
) -> list[CorpusPartition]:
    """All documents of one side in partitions of at least `partition_bytes` but the last."""
    partitions: list[CorpusPartition] = []
    first = size = index = 0
    for index, batch in enumerate(record_batches(documents_path(corpus.path, split)), 1):
        size += batch.nbytes
        if size >= partition_bytes:
            partitions.append(CorpusPartition(corpus, split, len(partitions), first, index, size))
            first, size = index, 0
    if size:
        partitions.append(CorpusPartition(corpus, split, len(partitions), first, index, size))
    return partitions


def partition_batches(part: CorpusPartition) -> Iterator[pa.RecordBatch]:
    """The record batches of a partition, memory-mapped.

    Raises:
        ArtifactError: the file is missing or is no Arrow file.
    """
    path = documents_path(part.corpus.path, part.split)
    yield from record_batches(path, part.first, part.last)
