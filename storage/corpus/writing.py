"""Writes one side of a corpus: its documents and their MinHash bands."""

from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.corpus.documents import SCHEMA, Split

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 1 << 14


class SplitWriter:
    """Writes documents in record batches of a bounded size, and counts them."""

    def __init__(self, directory: Path, split: Split) -> None:
        self._file = pa.ipc.new_file(str(directory / f"{split}.arrow"), SCHEMA)
        self._bands_path = directory / f"{split}.bands.npy"
        self._bands: list[np.ndarray] = []
        self._pending: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0
        self.counts = {"documents": 0, "characters": 0, "bytes": 0}

    def __enter__(self) -> "SplitWriter":
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
                np.save(self._bands_path, np.concatenate(self._bands))
        self._file.close()

    def add(self, batch: pa.RecordBatch, bands: np.ndarray | None) -> None:
        """Adds documents (with the columns of SCHEMA at least) and, where there are any, bands."""
        if not batch.num_rows:
            return
        text = batch.column("text")
        size = pc.sum(pc.binary_length(text)).as_py()
        self._pending.append(batch.select(SCHEMA.names))
        if bands is not None:
            self._bands.append(np.asarray(bands))
        self._bytes += size
        self._rows += batch.num_rows
        self.counts["documents"] += batch.num_rows
        self.counts["characters"] += pc.sum(pc.utf8_length(text)).as_py()
        self.counts["bytes"] += size
        if self._bytes >= _BATCH_BYTES or self._rows >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._file.write_batch(pa.concat_batches(self._pending))
        self._pending, self._bytes, self._rows = [], 0, 0
