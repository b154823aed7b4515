"""A part: the documents of one partition of files, read and cleaned, on any machine.

`documents.arrow` holds the documents kept, with their origin; `bands.npy` the hashes of their
MinHash bands, row by row, if near-duplicates are looked for; `tally.json` the statistics.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import document_ids_of, record_batches
from corpusmill.storage.corpus.writing import DocumentWriter
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion.arrays import map_array
from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.cleaning.steps import Step, cleaning_steps, digest_inputs
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS, band_hashes, rows_for
from corpusmill.tasks.ingestion.engines import engines_of
from corpusmill.tasks.ingestion.fragments import Fragment, SourceFile, unreadable
from corpusmill.tasks.ingestion.own import load_reader
from corpusmill.tasks.ingestion.partitions import FilePartition
from corpusmill.tasks.ingestion.progress import ProgressLogger
from corpusmill.tasks.ingestion.readers.reading import read
from corpusmill.tasks.ingestion.stats import Stats

KIND = "part"
# The file of the statistics, and the partition among a part's inputs: older names, for by others
# every part on disk would be made again.
_STATS, _PARTITION = "tally.json", "group"
FORMAT_VERSION = 12
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("unit", pa.string()),
        ("number", pa.int64()),
        ("language", pa.string()),
        ("text", pa.large_string()),
    ]
)


def part_spec(partition: FilePartition, config: CorpusConfig) -> Spec:
    """What the part of this partition is made from."""
    decides = config.model_dump(
        mode="json", exclude={"sources", "validation_fraction", "max_unread"}
    )
    decides["engines"] = engines_of((fragment.file for fragment in partition.fragments), config)
    inputs = {_PARTITION: partition.digest, "cleaning": digest_inputs(config.cleaning)}
    return Spec(KIND, FORMAT_VERSION, inputs, decides)


def make_part(layout: Layout, partition: FilePartition, config: CorpusConfig) -> Ref:
    """Reads and cleans one partition of files and hashes its MinHash bands, or reuses its part.

    Raises:
        CorpusError: a file that cannot be opened or that changes meanwhile; with
            `on_bad_text="refuse"`, text that cannot be read.
    """
    spec = part_spec(partition, config)
    inputs = spec.inputs["cleaning"]
    ref, _ = obtain(layout, spec, lambda path: _write(path, partition, config, inputs))
    return ref


def read_stats(part: Path) -> Stats:
    """The statistics of the part at this path."""
    return Stats.from_json((part / _STATS).read_text(encoding="utf-8"))


def part_documents(part: Path) -> Path:
    """The file of the documents kept in a part."""
    return part / "documents.arrow"


def part_batches(part: Path) -> Iterator[pa.RecordBatch]:
    """The documents kept in a part, memory-mapped, batch by batch."""
    yield from record_batches(part_documents(part))


def part_bands(part: Path) -> np.ndarray:
    """MinHash bands of the documents kept in a part, memory-mapped; uint64 (documents, BANDS)."""
    return map_array(part / "bands.npy")


def _write(
    directory: Path, partition: FilePartition, config: CorpusConfig, inputs: str
) -> Mapping[str, Any]:
    stats, progress = Stats(), ProgressLogger(f"partition {partition.number}")
    for name in config.readers.values():
        # Loaded again if changed: this process may hold older ones than the part's identity.
        load_reader(name)
    steps = _steps(config.cleaning, config.min_characters, inputs)
    with DocumentWriter(part_documents(directory), SCHEMA) as writer:
        for fragment in partition.fragments:
            for batch in read_batches(fragment, config, stats):
                for step in steps:
                    batch = step(batch, stats)  # noqa: PLW2901
                if len(batch):
                    writer.add(_to_batch(batch))
                progress.update_to(stats.bytes_read)
    if config.cleaning.near_duplicates != "off":
        _write_bands(directory, rows_for(config.cleaning.similarity))
    (directory / _STATS).write_text(stats.to_json(), encoding="utf-8")
    return {
        "documents": {
            "in": stats.documents_read,
            "kept": writer.documents,
            "dropped": stats.dropped_by_reason(),
        }
    }


def _write_bands(part: Path, rows: int) -> None:
    # Whole record batches: small batches would leave cores idle.
    bands = [band_hashes(batch.column("text"), rows) for batch in part_batches(part)]
    np.save(part / "bands.npy", np.concatenate([np.empty((0, BANDS), np.uint64), *bands]))


# Evaluation sets and block lists are read once a process, not once a partition, and again when
# their bytes, of which `inputs` is the digest, have changed.
@lru_cache(maxsize=1)
def _steps(config: CleaningConfig, min_characters: int, inputs: str) -> tuple[Step, ...]:  # noqa: ARG001
    return tuple(cleaning_steps(config, min_characters))


def read_batches(fragment: Fragment, config: CorpusConfig, stats: Stats) -> Iterator[DocumentBatch]:
    """Yields the documents of a fragment, and counts them and what could not be read.

    Raises:
        CorpusError: as `make_part`.
    """
    file, before, is_cut = fragment.file, stats.bytes_understood, False
    try:
        for item in read(fragment, config):
            if isinstance(item, DocumentBatch):
                stats.take_in(item)
                yield item
            elif isinstance(item, Repaired):
                stats.edit(item.name, item.count)
            elif config.on_bad_text == "refuse" and not item.apart:
                raise _refusal(file, item)
            else:
                stats.drop_flaw(file.source, file.name, item)
                is_cut |= item.bytes is None
        if is_cut:
            stats.doubt(file.source, file.name, stats.bytes_understood - before)
        file.check_unchanged()
    except OSError as error:
        raise unreadable(file.path, error) from error


def _refusal(file: SourceFile, flaw: Flaw) -> CorpusError:
    return CorpusError(
        f"{file.path}, {flaw.place}: {flaw.finding}; {flaw.remedy}, "
        'or set corpus.on_bad_text="drop" to leave such documents out.'
    )


def _to_batch(batch: DocumentBatch) -> pa.RecordBatch:
    def repeated(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value, pa.string()), len(batch))

    columns = [
        document_ids_of(batch.texts),
        repeated(batch.source),
        repeated(batch.file),
        repeated(batch.unit),
        pa.array(batch.numbers),
        batch.languages,
        batch.texts,
    ]
    return pa.record_batch(columns, schema=SCHEMA)
