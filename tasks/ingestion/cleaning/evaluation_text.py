"""The texts of evaluation sets: every string that a file holds."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import CorpusError
from tasks.ingestion.patterns import matching

_UNREADABLE = (
    OSError,
    EOFError,
    RecursionError,
    ValueError,
    csv.Error,
    zlib.error,
    pa.ArrowException,
)
_EXPECTED = ".txt, .json, .jsonl, .csv, .tsv (each also .gz) or .parquet"


def evaluation_files(patterns: Sequence[str]) -> list[Path]:
    """The files of these absolute paths or globs, each once, in order of their paths.

    Raises:
        CorpusError: a pattern without files.
    """
    files: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        base = path.anchor
        try:
            rest = pattern.removeprefix(base)
            found = {path} if path.is_file() else set(matching(Path(base), rest))
        except ValueError:  # of a path that is none
            found = set()
        if not found:
            raise CorpusError(
                f"corpus.cleaning.decontaminate {pattern} matches no file, expected the absolute "
                "path or glob of evaluation text; mend it, or take it out of the configuration."
            )
        files |= found
    return sorted(files)


def read_texts(path: Path) -> Iterator[str]:
    """The lines of a .txt file, the strings of JSON lines, the cells of a table.

    Raises:
        CorpusError: a file that cannot be read, or of another kind.
    """
    try:
        for text in _read(path):
            text.encode()  # JSON may hold half of a surrogate pair
            yield text
    except _UNREADABLE as error:
        raise CorpusError(
            f"corpus.cleaning.decontaminate {path} cannot be read ({error}); expected UTF-8 text "
            f"in {_EXPECTED}; mend the file, or take it out of the configuration."
        ) from error


def _read(path: Path) -> Iterator[str]:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        for batch in pq.ParquetFile(path).iter_batches():
            yield from _strings(batch.to_pylist())
        return
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode("utf-8-sig")
    if kind == "txt":
        yield from filter(str.strip, text.splitlines())
    elif kind == "json":
        yield from _strings(json.loads(text))
    elif kind == "jsonl":
        for line in filter(str.strip, text.split("\n")):
            yield from _strings(json.loads(line))
    elif kind == "tsv":
        yield from _strings([line.split("\t") for line in text.splitlines()])
    elif kind == "csv":
        # The limit is the whole process's, and the reader of the corpus needs its own.
        limit = csv.field_size_limit(sys.maxsize)
        try:
            rows = list(csv.reader(io.StringIO(text)))
        finally:
            csv.field_size_limit(limit)
        yield from _strings(rows)
    else:
        raise ValueError(f"its name ends in .{kind}")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
