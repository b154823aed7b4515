"""A part: what one group of documents becomes, read, cleaned and signed, on any machine.

`documents.arrow` holds the documents that are left, with where they came from; `bands.npy` their
MinHash bands, row by row; `tally.json` what happened to the others.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from storage.artifacts import Ref, Spec, obtain
from storage.corpus.blocks import Block, Flaw, Repaired
from storage.corpus.cleaning.steps import Step, cleaning_steps, digest_inputs
from storage.corpus.config import CleaningConfig, CorpusConfig
from storage.corpus.documents import document_ids_of, record_batches
from storage.corpus.duplicates.signatures import band_hashes, rows_for
from storage.corpus.groups import Group
from storage.corpus.pieces import Piece, SourceFile
from storage.corpus.readers.reading import read
from storage.corpus.tally import Tally
from storage.errors import CorpusError
from storage.layout import Layout

KIND = "part"
FORMAT_VERSION = 1
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
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1 << 14
_SAY_EVERY = 10.0


def part_spec(group: Group, config: CorpusConfig) -> Spec:
    """What the part of this group is made from."""
    decides = config.model_dump(mode="json", exclude={"sources", "validation_fraction"})
    inputs = {"group": group.digest, "cleaning": digest_inputs(config.cleaning)}
    return Spec(KIND, FORMAT_VERSION, inputs, decides)


def make_part(layout: Layout, group: Group, config: CorpusConfig) -> Ref:
    """Reads, cleans and signs one group of documents, or finds that done.

    Raises:
        CorpusError: a file that cannot be opened or that changes meanwhile; with
            `on_bad_text="refuse"`, text that cannot be read.
    """
    ref, _ = obtain(layout, part_spec(group, config), lambda path: _write(path, group, config))
    return ref


def read_tally(part: Path) -> Tally:
    """What happened to the documents of the part at this path."""
    return Tally.from_json((part / "tally.json").read_text(encoding="utf-8"))


def part_batches(part: Path) -> Iterator[pa.RecordBatch]:
    """The documents left in a part, memory-mapped, batch by batch."""
    yield from record_batches(part / "documents.arrow")


def _write(directory: Path, group: Group, config: CorpusConfig) -> Mapping[str, Any]:
    tally, pace = Tally(), _Pace(group.number)
    steps = _steps(config.cleaning, config.min_characters)
    sign = config.cleaning.near_duplicates != "off"
    rows = rows_for(config.cleaning.similarity) if sign else 0
    with _PartWriter(directory, rows) as writer:
        for piece in group.pieces:
            for block in _read_blocks(piece, config, tally):
                for step in steps:
                    block = step(block, tally)  # noqa: PLW2901
                writer.add(block)
                pace.say(tally)
    (directory / "tally.json").write_text(tally.to_json(), encoding="utf-8")
    read_in = sum(count for (_, what), count in tally.read.items() if what == "documents")
    documents = {"in": read_in, "kept": writer.documents, "dropped": tally.dropped_by_reason()}
    return {"documents": documents}


# Evaluation sets and block lists are read once a process, not once a group.
@lru_cache(maxsize=1)
def _steps(config: CleaningConfig, min_characters: int) -> tuple[Step, ...]:
    return tuple(cleaning_steps(config, min_characters))


def _read_blocks(piece: Piece, config: CorpusConfig, tally: Tally) -> Iterator[Block]:
    file = piece.file
    try:
        for item in read(piece, config):
            if isinstance(item, Block):
                tally.take_in(item)
                yield item
            elif isinstance(item, Repaired):
                tally.edit(item.name, item.count)
            elif config.on_bad_text == "refuse":
                raise _refusal(file, item)
            else:
                tally.drop_flaw(file.source, file.name, item)
    except OSError as error:
        raise CorpusError(
            f"{file.path} cannot be read ({error.strerror or error}); expected a readable file; "
            "mend its permissions or its disk, or take it out of corpus.sources."
        ) from error
    file.check_unchanged()


def _refusal(file: SourceFile, flaw: Flaw) -> CorpusError:
    return CorpusError(
        f"{file.path}, {flaw.place}: {flaw.finding}; {flaw.remedy}, "
        'or set corpus.on_bad_text="drop" to leave such documents out.'
    )


class _Pace:
    """Says every ten seconds how far a group is: of compressed files no one knows the end."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._began = self._said = time.monotonic()

    def say(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._said < _SAY_EVERY:
            return
        self._said = now
        counts = {"documents": 0, "bytes": 0}
        for (_, what), count in tally.read.items():
            counts[what] += count
        logging.getLogger(__name__).info(
            "group %d: %s documents, %.0f MB of text read, %.1f MB/s",
            self._number,
            f"{counts['documents']:,}",
            counts["bytes"] / 1e6,
            counts["bytes"] / 1e6 / (now - self._began),
        )


class _PartWriter:
    """Joins small blocks into record batches of a bounded size, and writes them."""

    def __init__(self, directory: Path, band_rows: int) -> None:
        self._directory = directory
        self._band_rows = band_rows
        self._file = pa.ipc.new_file(str(directory / "documents.arrow"), SCHEMA)
        self._bands: list[np.ndarray] = []
        self._pending: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0
        self.documents = 0

    def __enter__(self) -> "_PartWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
            if self._bands:
                np.save(self._directory / "bands.npy", np.concatenate(self._bands))
        self._file.close()

    def add(self, block: Block) -> None:
        if not len(block):
            return
        self._pending.append(_to_batch(block))
        self._bytes += int(block.byte_lengths().sum())
        self._rows += len(block)
        self.documents += len(block)
        if self._bytes >= _BATCH_BYTES or self._rows >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        batch = pa.concat_batches(self._pending)
        self._file.write_batch(batch)
        if self._band_rows:
            self._bands.append(band_hashes(batch.column("text"), self._band_rows))
        self._pending, self._bytes, self._rows = [], 0, 0


def _to_batch(block: Block) -> pa.RecordBatch:
    def repeated(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value, pa.string()), len(block))

    columns = [
        document_ids_of(block.texts),
        repeated(block.source),
        repeated(block.file),
        repeated(block.unit),
        pa.array(block.numbers),
        block.languages,
        block.texts,
    ]
    return pa.record_batch(columns, schema=SCHEMA)
