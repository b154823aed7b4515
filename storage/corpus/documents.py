"""The corpus as it is kept: documents in two Arrow files, each with where it came from.

`train.arrow` and `validation.arrow` are uncompressed Arrow IPC files; `<split>.bands.npy` holds
the MinHash bands of their documents, row by row; `dropped.jsonl` a few samples of what was left out
for each reason; `figures.json` what a report shows.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import Texts, bytes_of, offsets_of
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.splits import Split

KIND = "corpus"
FORMAT_VERSION = 12
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("language", pa.string()),
        ("text", pa.large_string()),
    ]
)

_HEX = 32


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus.

    Attributes:
        id: first 32 hex digits of the SHA-256 of its UTF-8 bytes: the same text, the same id.
        source: name of the source in the configuration.
        file: name of the file or dataset that it came from.
        language: ISO 639-1 code, or `und`.
        text: the text itself, with LF newlines.
    """

    id: str
    source: str
    file: str
    language: str
    text: str


def documents_path(corpus: Path, split: Split) -> Path:
    """The file of the documents of one side."""
    return corpus / f"{split}.arrow"


def bands_path(corpus: Path, split: Split) -> Path:
    """The file of their MinHash bands."""
    return corpus / f"{split}.bands.npy"


def read_documents(path: Path, split: Split) -> Iterator[Document]:
    """Yields the documents of one side of the corpus at `path`, memory-mapped, batch by batch.

    Raises:
        ArtifactError: the file is missing or is no Arrow file.
    """
    for batch in record_batches(documents_path(path, split)):
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for row in zip(*columns, strict=True):
            yield Document(*row)


def record_batches(path: Path, first: int = 0, last: int | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches first ≤ index < last of an Arrow file of documents, memory-mapped.

    Raises:
        ArtifactError: the file is missing or is no Arrow file.
    """
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
            for index in range(reader.num_record_batches)[first:last]:
                yield reader.get_batch(index)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); expected an Arrow file of documents; "
            "build the corpus again."
        ) from error


def document_id(utf8: bytes | memoryview) -> str:
    """The id of the document with these bytes."""
    return hashlib.sha256(utf8).hexdigest()[:_HEX]


def document_ids_of(texts: pa.LargeStringArray) -> pa.StringArray:
    """The ids of these documents."""
    data = bytes_of(texts).data
    bounds = pairwise(offsets_of(texts).tolist())
    return pa.array([document_id(data[start:stop]) for start, stop in bounds], pa.string())


def ids_as_bytes(ids: pa.StringArray) -> np.ndarray:
    """Ids as 16 bytes each, big-endian; uint8 (documents, 16)."""
    data = bytes.fromhex("".join(ids.to_pylist()))
    return np.frombuffer(data, np.uint8).reshape(-1, _HEX // 2)


def is_held_out(ids: np.ndarray, validation_fraction: float) -> np.ndarray:
    """Whether documents belong on the validation side: a matter of their ids alone.

    Args:
        ids: uint8 (documents, 16).
        validation_fraction: the expected share.

    Returns:
        bool (documents,)
    """
    leading = np.ascontiguousarray(ids[:, :4]).view(">u4")[:, 0]
    held_out: np.ndarray = leading / 2**32 < validation_fraction
    return held_out


def ids_of(paths: Sequence[Path]) -> np.ndarray:
    """Ids of all documents in Arrow files, one file after the other; uint8 (documents, 16).

    Raises:
        ArtifactError: a file is missing or is no Arrow file.
    """
    batches = (batch for path in paths for batch in record_batches(path))
    ids = [ids_as_bytes(batch.column("id")) for batch in batches]
    return np.concatenate([np.empty((0, _HEX // 2), np.uint8), *ids])


def texts_of(paths: Sequence[Path]) -> Texts:
    """Random access to the texts of Arrow files of documents, numbered through from 0.

    Raises:
        ArtifactError: a file is missing or is no Arrow file.
    """
    return Texts([batch.column("text") for path in paths for batch in record_batches(path)])
