"""What a line of models has met: of each document its id, its MinHash bands and its side, no text.

A memory is an artifact of segments, one for the corpus that the line began with and one a night.
`segments.json` lists them; `<name>.documents.arrow` holds 177 bytes a document, and
`<name>.files.arrow` the files that were read: digests, names, sources, licences. A later memory
links the segments of the one before it, so that it needs nothing of that, and costs nothing.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.errors import ArtifactError

KIND = "memory"
FORMAT_VERSION = 2
# Sides of documents; one that resembles documents of both sides is on neither.
TRAIN, HELD_OUT, NEITHER = 0, 1, 2
_ID_BYTES = 16
_SEGMENTS = "segments.json"
_NAMES = pa.dictionary(pa.int32(), pa.string())
_FILES = pa.schema(
    [
        pa.field("digest", pa.binary(_ID_BYTES), nullable=False),
        pa.field("source", _NAMES),
        pa.field("licence", _NAMES),
        ("name", pa.string()),
        # A path may be any bytes.
        ("path", pa.binary()),
        ("size", pa.int64()),
        ("sha256", pa.binary(32)),
        ("train", pa.int64()),
        ("held_out", pa.int64()),
        ("waits", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Segment:
    """What was met at once.

    Attributes:
        name: of its files.
        corpus: digest of the corpus of its documents, which need not exist any more.
        shards: digest of the shards of those that were trained on.
        held_out: digest of the artifact with the text of those that are held out.
        documents: how many there are.
    """

    name: str
    corpus: str
    shards: str
    held_out: str
    documents: int


@dataclass(frozen=True)
class Met:
    """Documents that were met.

    Attributes:
        ids: uint8 (documents, 16).
        sides: uint8 (documents,): TRAIN, HELD_OUT or NEITHER.
        bands: uint64 (documents, bands), zeros where near-duplicates are not looked for.
    """

    ids: np.ndarray
    sides: np.ndarray
    bands: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class MetFile:
    """A file that was met.

    Attributes:
        identity: digest of its bytes and of how they were read, 16 bytes.
        source: that led to it, with its licence.
        name: how the corpus calls it.
        path: where it lay on the machine that read it.
        size: bytes.
        sha256: of its bytes, in hex.
        train, held_out: documents of it that were trained on, and that were held out.
        waits: whether it is read again, for some of its documents wait for a person.
    """

    identity: bytes
    source: str
    licence: str
    name: str
    path: Path
    size: int
    sha256: str
    train: int = 0
    held_out: int = 0
    waits: bool = False


class Memory:
    """A memory on disk.

    Attributes:
        segments: in the order in which they were met.
    """

    def __init__(self, path: Path) -> None:
        """Raises ArtifactError: it is none."""
        self._path = path
        self.segments = read_segments(path)

    @cached_property
    def met(self) -> Met:
        """All documents, in the order of the segments; read whole.

        Raises:
            ArtifactError: a segment cannot be read.
        """
        parts = [read_met(documents_path(self._path, each.name)) for each in self.segments]
        return Met(
            np.concatenate([each.ids for each in parts]),
            np.concatenate([each.sides for each in parts]),
            np.concatenate([each.bands for each in parts]),
        )

    @cached_property
    def files(self) -> frozenset[bytes]:
        """Digests of the files that need not be read again, each with how it was read.

        Raises:
            ArtifactError: a segment cannot be read.
        """
        tables = [_read(files_path(self._path, each.name)) for each in self.segments]
        return frozenset(digest for each in tables for digest in _settled(each))

    def paths(self) -> list[Path]:
        """The files of all segments."""
        return [
            path(self._path, each.name)
            for each in self.segments
            for path in (documents_path, files_path)
        ]


def documents_path(directory: Path, segment: str) -> Path:
    """The file of the documents of a segment."""
    return directory / f"{segment}.documents.arrow"


def files_path(directory: Path, segment: str) -> Path:
    """The file of the files of a segment."""
    return directory / f"{segment}.files.arrow"


def read_segments(directory: Path) -> list[Segment]:
    """The segments of a memory.

    Raises:
        ArtifactError: it is none.
    """
    try:
        listed = json.loads((directory / _SEGMENTS).read_text(encoding="utf-8"))
        return [Segment(**each) for each in listed]
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(directory, error) from error


def write_segments(directory: Path, segments: Sequence[Segment]) -> None:
    """Lists the segments of a memory."""
    listed = [asdict(each) for each in segments]
    (directory / _SEGMENTS).write_text(json.dumps(listed, indent=2), encoding="utf-8")


def write_met(path: Path, met: Met) -> None:
    """Writes documents as a file of their own."""
    width = 8 * met.bands.shape[1]
    bands = np.ascontiguousarray(met.bands, "<u8")
    columns = [
        _binary(met.ids, _ID_BYTES),
        pa.array(met.sides, pa.uint8()),
        _binary(bands.view(np.uint8), width),
    ]
    batch = pa.record_batch(columns, names=["id", "side", "bands"])
    with pa.ipc.new_file(path, batch.schema) as file:
        file.write_batch(batch)


def write_files(path: Path, files: Sequence[MetFile]) -> None:
    """Writes files that were met as a file of their own, in order of their names."""
    ordered = sorted(files, key=lambda each: (each.source, each.name, each.identity))
    columns = {
        "digest": [each.identity for each in ordered],
        "path": [os.fsencode(each.path) for each in ordered],
        "sha256": [bytes.fromhex(each.sha256) for each in ordered],
    }
    arrays = [
        pa.array(columns.get(name) or [getattr(each, name) for each in ordered], kind)
        for name, kind in zip(_FILES.names, _FILES.types, strict=True)
    ]
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(path, _FILES, options=options) as file:
        file.write_batch(pa.record_batch(arrays, schema=_FILES))


def read_files(path: Path) -> list[MetFile] | None:
    """The files of one segment; None where a release that kept no names of them wrote it.

    Raises:
        ArtifactError: it cannot be read.
    """
    table = _read(path)
    if "name" not in table.column_names:
        return None
    return [
        MetFile(
            row["digest"],
            row["source"],
            row["licence"],
            row["name"],
            Path(os.fsdecode(row["path"])),
            row["size"],
            row["sha256"].hex(),
            row["train"],
            row["held_out"],
            row["waits"],
        )
        for row in table.to_pylist()
    ]


def _settled(files: pa.Table) -> list[bytes]:
    """Digests of the files none of whose documents wait."""
    if "waits" in files.column_names:
        files = files.filter(pc.invert(files["waits"]))
    digests: list[bytes] = files["digest"].to_pylist()
    return digests


def _binary(rows: np.ndarray, width: int) -> pa.Array:
    """Rows of bytes, (documents, width), as fixed-size binary values."""
    buffer = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, buffer])


def read_met(path: Path) -> Met:
    """The documents of one file.

    Raises:
        ArtifactError: it cannot be read.
    """
    table = _read(path)
    return Met(
        _rows(table["id"], np.uint8), _rows(table["side"], np.uint8)[:, 0], _rows(table["bands"])
    )


def _rows(column: pa.ChunkedArray, dtype: type[np.generic] = np.uint64) -> np.ndarray:
    """The values of a column of one fixed width, (rows, numbers a value)."""
    array = column.combine_chunks()
    width = array.type.byte_width // np.dtype(dtype).itemsize
    values = np.frombuffer(array.buffers()[1], dtype)[: (array.offset + len(array)) * width]
    return values.reshape(-1, width)[array.offset :]


def _read(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, found: object) -> ArtifactError:
    return ArtifactError(
        f"{path} is no memory of what was met ({found}); expected one that a flow has written: run "
        "`make verify`, and restore the store from a copy."
    )
