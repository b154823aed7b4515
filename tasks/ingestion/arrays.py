"""Arrays in .npy files, memory-mapped."""

from pathlib import Path

import numpy as np
import pyarrow as pa


def map_array(path: Path) -> np.ndarray:
    """The array in a .npy file of version 1, read-only.

    It keeps no file open, as that of numpy does: a process may open some 1,000, and a corpus may
    have more parts.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no such file, or is cut off.
    """
    with pa.memory_map(str(path)) as file:
        data = file.read_buffer()
    header = pa.BufferReader(data)
    version = np.lib.format.read_magic(header)
    if version != (1, 0):
        raise ValueError(f"{path} is a .npy file of version {version}, expected 1.0")
    shape, is_fortran, kind = np.lib.format.read_array_header_1_0(header)
    if is_fortran:
        raise ValueError(f"{path} holds its array column by column, expected row by row")
    values = np.frombuffer(data, np.uint8)[header.tell() :]
    array: np.ndarray = values.view(kind).reshape(shape)
    return array
