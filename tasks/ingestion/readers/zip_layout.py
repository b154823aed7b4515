"""The layout of a .zip: finds bytes before, between and after its members."""

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.ingestion.readers.flaws import left_over

# Bytes of the end of central directory record, without and with the longest comment.
_RECORD = 22
_END = _RECORD + (1 << 16)
# The local header, with the sizes of name and extra field; size and flag of the data descriptor.
_LOCAL = struct.Struct("<26xHH")
_DESCRIPTOR, _DESCRIBED = 24, 8


class Beginning(io.RawIOBase):
    """The first `size` bytes of a file as a file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size, self._at = stream, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._stream.seek(self._at)
        data = self._stream.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def surplus(stream: BinaryIO, size: int) -> Iterator[Flaw]:
    """Flaws of bytes in the .zip of one document that are not part of it, such as another .zip."""
    with zipfile.ZipFile(stream) as archive:
        if (first := first_byte(archive)) > 0:
            yield left_over("before the document", first)
        yield from unlisted(stream, archive.infolist(), archive.start_dir)
        yield from after_archive(tail_of(stream, size), archive)


def first_byte(archive: zipfile.ZipFile) -> int:
    """Where an archive begins in its file."""
    return min([info.header_offset for info in archive.infolist()] or [archive.start_dir])


def after_archive(tail: bytes, archive: zipfile.ZipFile) -> Iterator[Flaw]:
    """The flaw of bytes after an archive; `tail` is what `tail_of` returns for its file."""
    if after := len(tail) - _RECORD - len(archive.comment):
        yield left_over("after the archive", after)


def tail_of(stream: BinaryIO, size: int) -> bytes:
    """The end of central directory record of a .zip, and what follows it."""
    stream.seek(max(0, size - _END))
    return (tail := stream.read(_END))[tail.rfind(b"PK\5\6") :]


def unlisted(stream: BinaryIO, infos: list[zipfile.ZipInfo], end: int) -> Iterator[Flaw]:
    """Flaws of bytes between members up to byte `end`, such as a member that is not listed."""
    infos = sorted(infos, key=lambda info: info.header_offset)
    for info, after in zip(infos, [*(i.header_offset for i in infos[1:]), end], strict=True):
        stream.seek(max(0, info.header_offset))
        header = stream.read(_LOCAL.size)
        if len(header) == _LOCAL.size and header.startswith(b"PK\3\4"):
            sizes = sum(_LOCAL.unpack(header)) + _LOCAL.size + info.compress_size
            described = _DESCRIPTOR if info.flag_bits & _DESCRIBED else 0
            if (gap := after - info.header_offset - sizes) > described:
                yield left_over(f"after {printable(info.filename)}", gap)


def printable(name: str) -> str:
    """A name that UTF-8 can encode: names of members may be any bytes."""
    return name.encode("utf-8", "backslashreplace").decode()
