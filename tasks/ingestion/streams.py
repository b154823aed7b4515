"""Bytes of files as streams of chunks, decompressed, in bounded memory.

Where compressed data are cut off, damaged or a bomb, everything before that place is given, and
then `DamageError` is raised with the flaw.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.ingestion.damage import bomb, broken

try:
    from isal import igzip_lib
except ImportError:  # it only inflates faster
    igzip_lib = None  # type: ignore[assignment]

CHUNK = 1 << 20
# Text never shrinks a thousandfold; up to a gigabyte, expansion hurts nobody.
BOMB_RATIO = 1000
BOMB_BYTES = 1 << 30
# Small, since some decompressors lose the output of the last input before damage.
_INPUT = 1 << 14
_OUTPUT = 1 << 16
# No more than 128 KiB come of 4 bytes of a hostile zstd frame, and its size cannot be limited
# otherwise: 64 MiB at once.
_ZSTD_INPUT = 1 << 11
# As `zstd --long=31` writes, which dumps of forums and crawls use. Memory grows only with the data
# that are decompressed.
_ZSTD_WINDOW = 1 << 31


class DamageError(Exception):
    """The rest of a stream cannot be read; `flaw.bytes` does not count that rest."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.place}: {flaw.finding}")
        self.flaw = flaw


class ByteStream(Iterator[bytes]):
    """The bytes of a file, or of a member of an archive, in chunks of about CHUNK bytes.

    Args:
        chunks: all of the bytes.
        size: their number; not used where `within` is given.
        within: the compressed stream, if the chunks are decompressed from one.
    """

    def __init__(
        self, chunks: Iterable[bytes], size: int = 0, within: "ByteStream | None" = None
    ) -> None:
        self._chunks = iter(chunks)
        self._size, self._within = size, within
        self._ahead: list[bytes] = []
        self._stream: ChunkStream | None = None
        self._given = 0

    def __next__(self) -> bytes:
        chunk = self._ahead.pop(0) if self._ahead else next(self._chunks)
        self._given += len(chunk)
        return chunk

    def head(self, size: int) -> bytes:
        """At least the first `size` unread bytes, or all there are, without consuming them."""
        try:
            while sum(map(len, self._ahead)) < size and (chunk := next(self._chunks, b"")):
                self._ahead.append(chunk)
        except DamageError as error:
            self._chunks = _damaged(error)
        return b"".join(self._ahead)

    def as_file(self) -> BinaryIO:
        """The same bytes as a file object."""
        self._stream = ChunkStream(self)
        return cast(BinaryIO, self._stream)

    def decompressed(self, compression: str) -> "ByteStream":
        """The decompressed stream.

        Raises:
            DamageError, while it is read: the data are cut off, damaged, or a bomb.
        """
        return ByteStream(decompressed(self.as_file(), compression), within=self)

    @property
    def taken(self) -> int:
        """Bytes consumed so far."""
        return self._given - (self._stream.left if self._stream else 0)

    def rest(self) -> int:
        """Bytes not consumed; an estimate if the stream is decompressed."""
        if not self._within:
            return max(0, self._size - self.taken)
        held, taken = self._given - self.taken, self._within.taken
        return held + self._within.rest() * max(self._given, taken) // max(taken, 1)


def file_chunks(path: Path, start: int = 0) -> Iterator[bytes]:
    """A file from byte `start` on, in chunks.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while chunk := file.read(CHUNK):
            yield chunk


def decompressed(stream: BinaryIO, compression: str) -> Iterator[bytes]:
    """The contents of a stream of gz, zst, bz2 or xz, in chunks.

    Raises:
        DamageError: the compressed data are cut off, damaged, or a bomb.
    """
    source = _Counted(stream)
    given = 0
    for chunk in _inflated(source, compression):
        yield chunk
        given += len(chunk)
        if given > BOMB_BYTES and given > BOMB_RATIO * source.count:
            raise DamageError(bomb(given, source.count, BOMB_RATIO))


class ChunkStream(io.RawIOBase):
    """A binary stream of these chunks, for readers that want a file.

    Where reading fails after some bytes, they are given first, and the error comes next time.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        # A view, so that many small reads of one chunk do not copy what they leave.
        self._left = memoryview(b"")
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    @property
    def left(self) -> int:
        """Bytes of the chunk at hand that were not read."""
        return len(self._left)

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes; fewer only at the end, or before an error."""
        parts: list[memoryview] = []
        wanted = -1 if size is None or size < 0 else size
        while wanted and (self._left or self._advance(bool(parts))):
            part = self._left if wanted < 0 else self._left[:wanted]
            self._left = self._left[len(part) :]
            wanted -= len(part) if wanted > 0 else 0
            parts.append(part)
        return b"".join(parts)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _advance(self, has_some: bool) -> bool:
        try:
            if self._error:
                raise self._error
            self._left = memoryview(next(self._chunks, b""))
        except DamageError as error:
            self._error = error
            if not has_some:
                raise
        return bool(self._left)


def line_start(path: Path, start: int) -> int:
    """Where the first line begins after the line end at or after byte `start`; 0 for 0."""
    position = start
    for chunk in file_chunks(path, start=start) if start else ():
        if end := chunk.find(b"\n") + 1:
            return position + end
        position += len(chunk)
    return position


def line_chunks(path: Path, begin: int, stop: int | None) -> Iterator[bytes]:
    """A file from byte `begin` up to the first line end at or after byte `stop`."""
    position = begin
    for chunk in file_chunks(path, start=begin):
        left = len(chunk) if stop is None else max(0, stop - position)
        if left < len(chunk) and (end := chunk.find(b"\n", left) + 1):
            yield chunk[:end]
            return
        yield chunk
        position += len(chunk)


class _Counted(io.RawIOBase):
    """Counts the bytes read of a stream; `error` tells its errors from a decompressor's."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = self.last = 0  # bytes in all, and in the last read
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (OSError, DamageError) as error:
            self.error = error
            raise
        buffer[: len(data)] = data
        self.last = len(data)
        self.count += self.last
        return self.last


def _inflated(source: "_Counted", compression: str) -> Iterator[bytes]:
    """The members (frames, streams) of a compressed file, one after the other."""
    given = size = behind = 0
    pending: list[bytes] = []
    damage: Exception | None = None
    try:
        for chunk in _members(source, compression):
            behind = source.count - source.last
            pending.append(chunk)
            size += len(chunk)
            if size >= CHUNK:
                given += size
                yield b"".join(pending)
                pending, size = [], 0
    except _BROKEN as error:
        if source.error:
            raise
        damage = error
    if pending:
        yield b"".join(pending)
    if damage is not None:
        # How much of the last input gave the output is unknown: all of it counts as lost.
        raise DamageError(broken(given + size, source.count - behind, damage, compression))


def _members(source: "_Counted", compression: str) -> Iterator[bytes]:
    input_bytes = _ZSTD_INPUT if compression == "zst" else _INPUT
    data = source.read(input_bytes)
    while data:
        member = _DECOMPRESSORS[compression]()
        while not member.eof:
            if chunk := member.decompress(data, _OUTPUT):
                yield chunk
            data = b""
            if member.needs_input and not member.eof:
                data = source.read(input_bytes)
                if not data and not chunk:
                    raise EOFError("the end is missing")
        # Zeros may pad a file of gzip or xz.
        data = (member.unused_data or source.read(input_bytes)).lstrip(b"\0")
        while not data and (more := source.read(input_bytes)):
            data = more.lstrip(b"\0")


class _Gzip:
    """zlib's inflater in the shape of the other decompressors, where isal is missing."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data


class _Zstd:
    """One zstd frame in the shape of the other decompressors."""

    needs_input = True

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def decompress(self, data: bytes, _: int) -> bytes:
        return self._frame.decompress(data) if data else b""

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": _Gzip
    if igzip_lib is None
    else lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    "zst": _Zstd,
    "bz2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}
_ISAL: Any = () if igzip_lib is None else (igzip_lib.error,)
_BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error, zstandard.ZstdError, *_ISAL)


def _damaged(error: DamageError) -> Iterator[bytes]:
    raise error
    yield b""
