"""Forgetting: the documents of a file, as a line of models met them, and who met them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.corpus.documents import ids_of
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Forgotten
from corpusmill.storage.memory import HELD_OUT, TRAIN, Memory
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.ingestion.duplicates.relatives import LEAST_SHARED, shared_bands
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS
from corpusmill.tasks.ingestion.partitions import plan_partitions
from corpusmill.tasks.ingestion.parts import make_part, part_bands, part_documents
from corpusmill.tasks.ingestion.readers.reading import cut
from corpusmill.tasks.ingestion.sources import resolve


@dataclass(frozen=True)
class Meeting:
    """What a version has met of what is to be forgotten.

    Attributes:
        trained, held_out: documents on either side.
    """

    trained: int
    held_out: int


def documents_of_file(layout: Layout, config: CorpusConfig, file: Path) -> Forgotten:
    """The documents of a file, read in every way in which a source of the line is read.

    Raises:
        CorpusError: the file cannot be read.
    """
    ids, bands = [np.empty((0, 16), np.uint8)], [np.empty((0, BANDS), np.uint64)]
    for each in _as_sources(config, file):
        for part in _parts(layout, each):
            ids.append(ids_of([part_documents(part.path)]))
            if config.cleaning.near_duplicates != "off":
                bands.append(np.array(part_bands(part.path)))
            discard(part)
    found = np.unique(np.concatenate(ids), axis=0)
    return Forgotten(str(file), tuple(row.tobytes().hex() for row in found), np.concatenate(bands))


def with_relatives(forgotten: Forgotten, memories: Iterable[Ref]) -> Forgotten:
    """The same with the ids of all relatives that were met, so that they are not replayed."""
    ids = set(forgotten.ids)
    for memory in memories:
        met = Memory(memory.path).met
        ids |= {row.tobytes().hex() for row in met.ids[_concerned(forgotten, memory)]}
    return Forgotten(forgotten.file, tuple(sorted(ids)), forgotten.bands)


def meeting(forgotten: Forgotten, memory: Ref) -> Meeting:
    """What a version with this memory has met of it, relatives included."""
    sides = Memory(memory.path).met.sides[_concerned(forgotten, memory)]
    return Meeting(int((sides == TRAIN).sum()), int((sides == HELD_OUT).sum()))


def _concerned(forgotten: Forgotten, memory: Ref) -> np.ndarray:
    """bool (met,): which of the documents that were met are these or their relatives."""
    met = Memory(memory.path).met
    listed = np.frombuffer(b"".join(bytes.fromhex(each) for each in forgotten.ids), "V16")
    same = np.isin(met.ids.view("V16")[:, 0], listed)
    every = np.ones(len(forgotten.bands), bool)
    related: np.ndarray = shared_bands(met.bands, forgotten.bands, every) >= LEAST_SHARED
    concerned: np.ndarray = same | related
    return concerned


def _as_sources(config: CorpusConfig, file: Path) -> Iterator[CorpusConfig]:
    """The config with this file as its only source, in each way in which its sources are read."""
    ways = {FileSource(files=str(file))}
    for source in config.sources:
        if isinstance(source, FileSource):
            changes = {"files": str(file), "name": None, "licence": None, "held_out": False}
            ways.add(source.model_copy(update=changes))
    for way in sorted(ways, key=repr):
        yield config.model_copy(update={"sources": (way,)})


def _parts(layout: Layout, config: CorpusConfig) -> Iterator[Ref]:
    """Read anew: a corpus of this file alone may be there, but has not what was dropped."""
    sources = resolve(config, layout.downloads, layout.file_index)
    fragments = (each for source in sources for file in source.files for each in cut(file))
    for partition in plan_partitions(fragments):
        yield make_part(layout, partition, config)
