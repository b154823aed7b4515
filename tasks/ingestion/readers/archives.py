"""Archives, .zip and .tar: each member is read like a file of its own, straight from the archive.

Nothing is written to disk, and no path of a member is followed. Members come in the order of the
archive. Hidden ones and folders are passed over, as in a folder; those of a format that is not read
and archives in archives, which are not descended into, are counted.
"""

import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, Self, cast

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, Repaired
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.flaws import left_over
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.readers.zip_layout import (
    Beginning,
    after_archive,
    first_byte,
    printable,
    tail_of,
    unlisted,
)
from corpusmill.tasks.ingestion.streams import BOMB_BYTES, BOMB_RATIO, DamageError

ReadMember = Callable[[Iterator[bytes], str, int], Iterator[Item]]

# Where a .tar is cut off, the chunk that was asked for last is lost.
_CHUNK = 1 << 14
_HEADER = 1 << 20
_CUT_OFF = "the end is missing"
# What zipfile and tarfile raise for damaged bytes.
_ERRORS = (
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")
_ENCRYPTED = 1
_LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file within an archive.

    Attributes:
        size: bytes, as the archive says.
        file: to read them from, before the next member is asked for.
    """

    name: str
    size: int
    file: IO[bytes]


def read_zip(stream: BinaryIO, reading: Reading, read_member: ReadMember) -> Iterator[Item]:
    """What `read_member` finds in each member of a .zip, and flaws of those that are not opened.

    Raises:
        DamageError: it is no .zip.
    """
    return _read(_zip_members(stream, stream.seek(0, io.SEEK_END)), reading, read_member)


def read_tar(stream: BinaryIO, reading: Reading, read_member: ReadMember) -> Iterator[Item]:
    """What `read_member` finds in each member of a .tar, or of several concatenated ones.

    Raises:
        DamageError: where it is damaged or cut off.
    """
    return _read(_tar_members(stream), reading, read_member)


def _read(
    members: Iterator[Member | Flaw], reading: Reading, read_member: ReadMember
) -> Iterator[Item]:
    meter = _Meter(reading.file.size)
    for member in members:
        if isinstance(member, Flaw):
            yield member
        elif any(part.startswith(".") for part in PurePosixPath(member.name).parts):
            yield Repaired("members_not_read", 1)
        else:
            yield from read_member(meter.chunks(member.file), member.name, member.size)


class _Meter:
    """Counts the bytes that come out of all members: a bomb may be spread over many."""

    def __init__(self, size: int) -> None:
        self._limit = max(BOMB_BYTES, BOMB_RATIO * size)
        self._given = 0

    def chunks(self, member: IO[bytes]) -> Iterator[bytes]:
        """The contents of a member.

        Raises:
            DamageError: it is damaged, or too much came of the archive.
        """
        start = self._given
        while True:
            place = f"after byte {self._given - start}"
            if self._given > self._limit:
                raise DamageError(_bomb(place, self._given))
            try:
                chunk = member.read(_CHUNK)
            except _ERRORS as error:
                raise DamageError(_damaged(place, error)) from error
            if not chunk:
                return
            self._given += len(chunk)
            yield chunk


def _zip_members(stream: BinaryIO, size: int) -> Iterator[Member | Flaw]:
    """The members of the .zip that ends at byte `size`, after those of one that lies before it."""
    try:
        archive = zipfile.ZipFile(stream)
    except _ERRORS as error:
        raise DamageError(_damaged(WHOLE_FILE, error)) from error
    infos = archive.infolist()
    if (first := first_byte(archive)) > 0:
        before = cast(BinaryIO, Beginning(stream, first))
        if zipfile.is_zipfile(before):
            yield from _zip_members(before, first)
        else:
            yield left_over("before the archive", first)
    for info in infos:
        name = printable(info.filename)
        # `is_dir` of Python 3.11 fails on a name that a NUL begins.
        if info.filename.endswith("/"):
            continue
        if flaw := _zip_flaw(info, name):
            yield flaw
            continue
        try:
            member = archive.open(info)
        except _ERRORS as error:
            yield replace(_damaged(name, error), bytes=_size_of(info))
            continue
        with member:
            yield Member(name, _size_of(info), member)
    yield from unlisted(stream, infos, archive.start_dir)
    tail = tail_of(stream, size)
    yield from after_archive(tail, archive)
    # A damaged entry may hide others. The count has 16 bits.
    if (listed := int.from_bytes(tail[10:12], "little")) not in (len(infos) % 65536, 65535):
        lost = EOFError(f"{len(infos)} members listed, of {listed}")
        yield replace(_damaged("the list of members", lost), bytes=None)


def _size_of(info: zipfile.ZipInfo) -> int:
    """Bytes of a member as declared, but no more than is let through of a bomb."""
    return min(info.file_size, max(BOMB_BYTES, BOMB_RATIO * info.compress_size))


def _zip_flaw(info: zipfile.ZipInfo, name: str) -> Flaw | None:
    if _UNSAFE.search(info.filename):
        return _unsafe(name, _size_of(info))
    if stat.S_ISLNK(info.external_attr >> 16):
        return _no_file(name, _size_of(info))
    if info.flag_bits & _ENCRYPTED:
        return Flaw(
            name,
            "encrypted",
            "found an encrypted member, expected one that anybody can read",
            "decrypt the archive",
            "",
            _size_of(info),
        )
    return None


class _Tar(tarfile.TarFile):
    """One archive, or several one after the other, of which each ends in blocks of zeros."""

    ended = False


class _Forward:
    """A forward-only stream; its `seek` stops at the end, however far a forged header leads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._at = stream, 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def seek(self, place: int) -> None:
        if place < self._at:
            raise tarfile.StreamError("a member of less than no bytes")
        while self._at < place and self.read(min(place - self._at, _CHUNK)):
            pass


class _Header(tarfile.TarInfo):
    """A header that raises where it is damaged, or a long name has no plausible size."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        assert isinstance(archive, _Tar)
        try:
            header = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            archive.ended = True
            raise
        # tarfile takes an invalid header for the end, and the rest would be lost silently.
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            if archive.ended:
                raise
            raise EOFError(_CUT_OFF) from error
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise EOFError(_CUT_OFF) from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        archive.ended = False
        return header

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG_HEADERS and self.size > _HEADER:
            raise tarfile.ReadError(f"a name of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_members(stream: BinaryIO) -> Iterator[Member | Flaw]:
    number = 0
    try:
        file = cast(BinaryIO, _Forward(stream))
        archive = _Tar(fileobj=file, tarinfo=_Header, ignore_zeros=True)
        while (info := archive.next()) is not None:
            # tarfile would keep all headers in memory.
            archive.members = []  # type: ignore[attr-defined]
            number += 1
            name = printable(info.name)
            if info.isdir():
                continue
            if _UNSAFE.search(info.name):
                yield _unsafe(name, info.size)
            elif info.isfile() and (member := archive.extractfile(info)):
                yield Member(name, info.size, member)
            else:
                yield _no_file(name, info.size)
    except _ERRORS as error:
        if isinstance(error, tarfile.ReadError) and str(error) == "unexpected end of data":
            error = EOFError(_CUT_OFF)
        flaw = _damaged(f"after member {number}" if number else WHOLE_FILE, error)
        # The invalid header was consumed.
        size = None if flaw.bytes is None else tarfile.BLOCKSIZE
        raise DamageError(replace(flaw, bytes=size)) from error


def _unsafe(name: str, size: int) -> Flaw:
    return Flaw(
        name,
        "unsafe_path",
        "found a path that leads out of the archive, expected one inside it",
        "make the archive again with relative paths, if you trust it",
        "",
        size,
    )


def _no_file(name: str, size: int) -> Flaw:
    return Flaw(
        name,
        "not_a_file",
        "found a link or a device, expected a file",
        "put the file itself into the archive",
        "",
        size,
    )


def _damaged(place: str, error: Exception) -> Flaw:
    is_cut = isinstance(error, EOFError) and str(error) == _CUT_OFF
    return Flaw(
        place,
        "truncated" if is_cut else "damaged",
        f"found damaged data ({str(error) or type(error).__name__}), expected a whole archive",
        "fetch the archive again",
        "",
        None if is_cut else 0,
    )


def _bomb(place: str, given: int) -> Flaw:
    finding = f"the archive became {given} bytes, expected no more than {BOMB_RATIO} times its size"
    remedy = "take it out of corpus.sources, or unpack it if it is sound"
    return Flaw(place, "bomb", finding, remedy, "")
