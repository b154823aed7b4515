"""Detects files of tables that were concatenated: a footer describes the last table alone.

Its offsets count from where that table began, so that wrong bytes would be read, or tables lost.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw
from corpusmill.tasks.ingestion.streams import DamageError

# After the footer come its size and the name of the format.
_PARQUET_END, _ARROW_END = 8, 10
# Where a footer of Arrow says where its dictionaries and record batches are.
_BLOCKS = (8, 10)
BAD = (pa.ArrowException, OSError, ValueError, TypeError)


def parquet_gap(file: Path | BinaryIO, table: pq.ParquetFile, columns: list[str]) -> int:
    """Bytes between the data of these columns and the footer: indices, and other columns."""
    end, last = 4, table.num_row_groups - 1
    outer = {name.partition(".")[0] for name in columns}
    paths = [table.schema.column(n).path.partition(".")[0] for n in range(len(table.schema))]
    try:
        # Reading a damaged column, pyarrow raises; asked for its offset, it aborts the process.
        next(table.iter_batches(1, row_groups=[last], columns=columns), None)
        group = table.metadata.row_group(last)
        end = max(_end_of(group.column(n)) for n, path in enumerate(paths) if path in outer)
    except (*BAD, IndexError) as error:
        raise_if_io(error)
    return size_of_file(file) - _PARQUET_END - int(table.metadata.serialized_size) - end


def _end_of(column: Any) -> int:
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    return int(start + column.total_compressed_size)


def arrow_gap(file: Path | BinaryIO) -> int:
    """Bytes between the last batch in the footer of an Arrow file and that footer, a flatbuffer.

    0 if the file is in another format, or its footer is damaged.
    """
    size = size_of_file(file)
    with _mapped(file) as data:
        if size < _ARROW_END or data[:6] != b"ARROW1" or data[-6:] != b"ARROW1":
            return 0
        length = int.from_bytes(data[-10:-6], "little")
        footer = data[max(0, size - _ARROW_END - length) : size - _ARROW_END]
    try:
        (root,) = struct.unpack_from("<I", footer)
        names = root - struct.unpack_from("<i", footer, root)[0]
        (names_size,) = struct.unpack_from("<H", footer, names)
        end = 0
        for field in _BLOCKS:
            place = struct.unpack_from("<H", footer, names + field)[0] if field < names_size else 0
            if place:
                at = root + place + struct.unpack_from("<I", footer, root + place)[0]
                (count,) = struct.unpack_from("<I", footer, at)
                batches = struct.iter_unpack("<qi4xq", footer[at + 4 : at + 4 + 24 * count])
                end = max([end, *map(sum, batches)])
    except struct.error:
        return 0
    return size - _ARROW_END - length - end


def check_single(file: Path | BinaryIO, seam: bytes, gap: int) -> None:
    """Raises DamageError if another file lies before this one, so that its offsets are wrong."""
    if gap < len(seam):
        return
    with _mapped(file) as data:
        if data.find(seam, 0, gap + len(seam)) >= 0:
            finding = "found several files one after the other, expected one table"
            raise DamageError(Flaw(WHOLE_FILE, "damaged", finding, "take them apart", ""))


def _mapped(file: Path | BinaryIO) -> mmap.mmap:
    if not isinstance(file, Path):
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def size_of_file(file: Path | BinaryIO) -> int:
    """Bytes of a file."""
    return file.stat().st_size if isinstance(file, Path) else os.fstat(file.fileno()).st_size


def raise_if_io(error: Exception) -> None:
    """Raises an error of the operating system again, which is no sign of a damaged file."""
    # pyarrow raises OSError for damage too, but without the system's number.
    if isinstance(error, OSError) and error.errno is not None:
        raise error
