"""Partitions of the sources: what one task, on any machine, reads and cleans by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from corpusmill.storage.corpus.partitions import PARTITION_BYTES
from corpusmill.storage.manifest import digest_json
from corpusmill.tasks.ingestion.fragments import Fragment


@dataclass(frozen=True)
class FilePartition:
    """Consecutive fragments of the sources.

    Attributes:
        number: its place among the partitions, from 0.
        fragments: in the order of the corpus.
    """

    number: int
    fragments: tuple[Fragment, ...]

    @property
    def size(self) -> int:
        """Bytes to read, as they lie on disk."""
        return sum(fragment.bytes for fragment in self.fragments)

    @property
    def digest(self) -> str:
        """Digest of what will be read, and of how."""
        return digest_json([_identity(fragment) for fragment in self.fragments])


def plan_partitions(
    fragments: Iterable[Fragment], partition_bytes: int = PARTITION_BYTES
) -> list[FilePartition]:
    """Partitions of at least `partition_bytes`, except the last; the same on every machine."""
    partitions: list[FilePartition] = []
    gathered: list[Fragment] = []
    size = 0
    for fragment in fragments:
        gathered.append(fragment)
        size += fragment.bytes
        if size >= partition_bytes:
            partitions.append(FilePartition(len(partitions), tuple(gathered)))
            gathered, size = [], 0
    if gathered:
        partitions.append(FilePartition(len(partitions), tuple(gathered)))
    return partitions


def _identity(fragment: Fragment) -> list[object]:
    file = fragment.file
    return [file.source, file.name, file.digest, fragment.start, fragment.stop, *file.manner]
