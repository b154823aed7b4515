"""Token shards made by many workers: each writes parts, one process puts the parts together.

A part is two plain files, `<part>.ids.npy` and `<part>.documents.arrow`, of any size; its documents
are grouped by source. What is assembled depends on the order of the documents alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.shards.schema import DOCUMENTS, DOCUMENTS_SUFFIX
from corpusmill.storage.shards.writing import ShardWriter
from corpusmill.storage.splits import Split

_PART = DOCUMENTS.append(pa.field("bytes", pa.int64(), nullable=False))
_COPIED_TOKENS = 1 << 22


def write_part(
    directory: Path,
    number: int,
    ids: np.ndarray,
    *,
    ends: np.ndarray,
    document_ids: Sequence[str] | pa.Array,
    sources: Sequence[str] | pa.Array,
    languages: Sequence[str] | pa.Array,
    sizes: np.ndarray,
) -> Path:
    """Writes the tokens of some documents; writing a part again replaces it.

    Args:
        directory: where the parts of one split lie.
        number: place of these documents among all parts.
        ids: token ids of all documents, (tokens,), in the shards' type.
        ends: offset in `ids` at which each document ends, (documents,).
        document_ids, sources, languages: strings, (documents,).
        sizes: UTF-8 bytes of each document, (documents,).

    Returns:
        The name that `assemble` takes.
    """
    columns = [document_ids, sources, languages, ends, sizes]
    arrays = [_array(c, field.type) for c, field in zip(columns, _PART, strict=True)]
    ids, table = _grouped(ids, pa.Table.from_arrays(arrays, schema=_PART))
    part = directory / f"part-{number:08d}"
    temporary = part.with_suffix(".writing")
    with temporary.open("wb") as file:
        np.save(file, ids, allow_pickle=False)
    temporary.replace(_ids_path(part))
    with pa.ipc.new_file(temporary, _PART) as file:
        file.write_table(table)
    temporary.replace(_documents_path(part))
    return part


def assemble(
    directory: Path, split: Split, vocab_size: int, parts: Sequence[Path]
) -> dict[str, Any]:
    """Writes the shards of one split from its parts, in constant memory.

    Sources follow each other in the order in which they first appear, the documents of a source in
    the order of the parts.

    Returns:
        For the manifest: `documents`, `tokens` and `bytes`; the same by language in `languages`;
        and by source in `sources`, with `first_token`, where the tokens of the source begin.

    Raises:
        ArtifactError: a part is missing or damaged.
    """
    runs: dict[str, list[_Run]] = {}
    for part in parts:
        for run in _runs(part):
            runs.setdefault(run.source, []).append(run)
    sources: dict[str, dict[str, int]] = {}
    languages: dict[str, dict[str, int]] = {}
    with ShardWriter(directory, split, vocab_size) as writer:
        for source, its_runs in runs.items():
            entry = sources[source] = _zero() | {"first_token": writer.tokens}
            for run in its_runs:
                _count(_append(writer, run), entry, languages)
    total = {key: sum(entry[key] for entry in sources.values()) for key in _zero()}
    return total | {"sources": sources, "languages": dict(sorted(languages.items()))}


@dataclass(frozen=True)
class _Run:
    """Documents first ≤ row < last of a part: all it has of one source."""

    part: Path
    source: str
    first: int
    last: int


def _runs(part: Path) -> Iterator[_Run]:
    first = 0
    for chunk in _open_documents(part)["source"].chunks:
        encoded = pc.run_end_encode(chunk)
        for source, last in zip(
            encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True
        ):
            yield _Run(part, source, first, last)
            first = last


def _append(writer: ShardWriter, run: _Run) -> pa.Table:
    """Copies the tokens and documents of a run; returns the documents, with `tokens` of each."""
    table = _open_documents(run.part)
    ends = _numbers(table["end"])
    begin = int(ends[run.first - 1]) if run.first else 0
    ends = ends[run.first : run.last]
    ids = _open_ids(run.part)
    if ends[-1] > len(ids):
        raise _damaged(run.part, f"{len(ids)} tokens where {ends[-1]} were expected")
    base = writer.tokens - begin
    for start in range(begin, int(ends[-1]), _COPIED_TOKENS):
        writer.append_ids(ids[start : min(start + _COPIED_TOKENS, int(ends[-1]))])
    rows = table.slice(run.first, run.last - run.first)
    place = DOCUMENTS.get_field_index("end")
    rows = rows.set_column(place, _PART.field("end"), pa.array(ends + base))
    writer.append_documents(rows.select(DOCUMENTS.names))
    return rows.append_column("tokens", pa.array(np.diff(ends, prepend=begin)))


def _count(
    documents: pa.Table, source: dict[str, int], languages: dict[str, dict[str, int]]
) -> None:
    wanted = [([], "count_all"), ("tokens", "sum"), ("bytes", "sum")]
    for row in documents.group_by("language").aggregate(wanted).to_pylist():
        language = languages.setdefault(row["language"], _zero())
        for entry in (source, language):
            entry["documents"] += row["count_all"]
            entry["tokens"] += row["tokens_sum"]
            entry["bytes"] += row["bytes_sum"]


def _zero() -> dict[str, int]:
    return {"documents": 0, "tokens": 0, "bytes": 0}


def _grouped(ids: np.ndarray, table: pa.Table) -> tuple[np.ndarray, pa.Table]:
    """The same documents with those of each source next to each other."""
    codes = _numbers(table["source"].combine_chunks().dictionary_encode().indices)
    if (np.diff(codes) >= 0).all():
        return ids, table
    order = np.argsort(codes, kind="stable")
    ends = _numbers(table["end"])
    starts = np.concatenate([[0], ends[:-1]])
    pieces = [ids[starts[row] : ends[row]] for row in order.tolist()]
    table = table.take(pa.array(order))
    moved = pa.array(np.cumsum((ends - starts)[order]))
    place = _PART.get_field_index("end")
    return np.concatenate(pieces), table.set_column(place, _PART.field("end"), moved)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """int64 values; straight from the buffer, for `to_numpy` would import pandas."""
    array = column.cast(pa.int64())
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return np.frombuffer(array.buffers()[1], np.int64, len(array), 8 * array.offset)


def _ids_path(part: Path) -> Path:
    return part.with_suffix(".ids.npy")


def _documents_path(part: Path) -> Path:
    return part.with_suffix(DOCUMENTS_SUFFIX)


def _open_ids(part: Path) -> np.ndarray:
    try:
        ids: np.ndarray = np.load(_ids_path(part), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(part, error) from error
    return ids


def _open_documents(part: Path) -> pa.Table:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(_documents_path(part)))).read_all()
        return table.combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(part, error) from error


def _damaged(part: Path, found: object) -> ArtifactError:
    return ArtifactError(
        f"The part {part} of the token shards is missing or damaged ({found}); run again."
    )
