"""Writes documents of a part, or of one side of a corpus."""

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.corpus.documents import SCHEMA, documents_path
from corpusmill.storage.corpus.texts import offsets_of
from corpusmill.storage.splits import Split

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1 << 14


class DocumentWriter:
    """Joins documents into record batches of a bounded size, and writes them.

    Attributes:
        documents: added so far.
        bytes: of their texts in UTF-8.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: str | None = None) -> None:
        """Args:
        compression: of the file's buffers, such as `zstd`; none to be read without a copy.
        """
        options = pa.ipc.IpcWriteOptions(compression=compression)
        self._file = pa.ipc.new_file(str(path), schema, options=options)
        self._pending: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0
        self.documents = self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds documents, with the columns of the schema."""
        if not batch.num_rows:
            return
        offsets = offsets_of(batch.column("text"))
        size = int(offsets[-1] - offsets[0])
        self._pending.append(batch)
        self._bytes += size
        self._rows += batch.num_rows
        self.documents += batch.num_rows
        self.bytes += size
        if self._bytes >= _BATCH_BYTES or self._rows >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._file.write_batch(pa.concat_batches(self._pending))
        self._pending, self._bytes, self._rows = [], 0, 0


class SplitWriter(DocumentWriter):
    """Writes one side of a corpus, and counts characters too."""

    def __init__(self, directory: Path, split: Split, compression: str | None = None) -> None:
        super().__init__(documents_path(directory, split), SCHEMA, compression)
        self._characters = 0

    @property
    def counts(self) -> dict[str, int]:
        """What a manifest says of this side."""
        return {
            "documents": self.documents,
            "characters": self._characters,
            "bytes": self.bytes,
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds documents, with the columns of SCHEMA at least."""
        super().add(batch.select(SCHEMA.names))
        self._characters += pc.sum(pc.utf8_length(batch.column("text"))).as_py() or 0
