"""Archives, .zip and .tar: each member is read like a file of its own, straight from the archive.

Nothing is written to disk, and no path of a member is followed. Members come in the order of the
archive. Hidden ones, folders and those of a format that is not read are passed over, as in a
folder; archives in archives are not descended into.
"""

import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, Self, cast

from storage.corpus.blocks import Flaw, Repaired
from storage.corpus.pieces import Reading
from storage.corpus.readers.gate import Item
from storage.corpus.streams import BOMB_BYTES, BOMB_RATIO, ChunkStream, DamageError

ReadMember = Callable[[BinaryIO, str], Iterator[Item]]

# Where a .tar is cut off, the chunk that was asked for last is lost.
_CHUNK = 1 << 14
_HEADER = 1 << 20
# What the two libraries say of bytes that do not fit.
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


def read_archive(stream: BinaryIO, reading: Reading, read_member: ReadMember) -> Iterator[Item]:
    """What `read_member(stream, name)` finds in each member, and flaws of members not opened.

    Args:
        stream: of a .zip, from its start, that can seek; of a .tar, decompressed.
    """
    is_zip = reading.file.path.suffix.lower() == ".zip"
    members = _zip_members(stream) if is_zip else _tar_members(stream)
    meter = _Meter(reading.file.size)
    for name, member in members:
        if isinstance(member, Flaw):
            yield member
        elif any(part.startswith(".") for part in PurePosixPath(name).parts):
            yield Repaired("members_not_read", 1)
        else:
            yield from read_member(cast(BinaryIO, ChunkStream(meter.chunks(member))), name)


class _Meter:
    """Counts what comes out of an archive, over all its members: a bomb may spread over many."""

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


def _zip_members(stream: BinaryIO) -> Iterator[tuple[str, IO[bytes] | Flaw]]:
    try:
        archive = zipfile.ZipFile(stream)
    except _ERRORS as error:
        yield "", _damaged("whole file", error)
        return
    for info in archive.infolist():
        name = _printable(info.filename)
        if info.is_dir():
            continue
        if flaw := _zip_flaw(info, name):
            yield name, flaw
            continue
        try:
            member = archive.open(info)
        except _ERRORS as error:
            yield name, _damaged(name, error)
            continue
        with member:
            yield name, member


def _zip_flaw(info: zipfile.ZipInfo, name: str) -> Flaw | None:
    if _UNSAFE.search(info.filename):
        return _unsafe(name)
    if stat.S_ISLNK(info.external_attr >> 16):
        return _no_file(name)
    if info.flag_bits & _ENCRYPTED:
        return Flaw(
            name,
            "encrypted",
            "found an encrypted member, expected one that anybody can read",
            "decrypt the archive",
            "",
        )
    return None


class _Header(tarfile.TarInfo):
    """A header that is sound, and whose name, where it is kept apart, is of a size names have."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        # tarfile takes what is no header for the end, and the rest would be lost without a word.
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("the end is missing") from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG_HEADERS and self.size > _HEADER:
            raise tarfile.ReadError(f"a name of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_members(stream: BinaryIO) -> Iterator[tuple[str, IO[bytes] | Flaw]]:
    number = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                # They would be held to the end.
                archive.members = []  # type: ignore[attr-defined]
                number += 1
                name = _printable(info.name)
                if info.isdir():
                    continue
                if _UNSAFE.search(info.name):
                    yield name, _unsafe(name)
                elif info.isfile() and (member := archive.extractfile(info)):
                    yield name, member
                else:
                    yield name, _no_file(name)
    except _ERRORS as error:
        yield "", _damaged(f"after member {number}", error)


def _printable(name: str) -> str:
    """A name that UTF-8 can hold: names of members may be any bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _unsafe(name: str) -> Flaw:
    return Flaw(
        name,
        "unsafe_path",
        "found a path that leads out of the archive, expected one inside it",
        "make the archive again with relative paths, if you trust it",
        "",
    )


def _no_file(name: str) -> Flaw:
    return Flaw(
        name,
        "not_a_file",
        "found a link or a device, expected a file",
        "put the file itself into the archive",
        "",
    )


def _damaged(place: str, error: Exception) -> Flaw:
    return Flaw(
        place,
        "damaged",
        f"found damaged data ({str(error) or type(error).__name__}), expected a whole archive",
        "fetch the archive again",
        "",
    )


def _bomb(place: str, given: int) -> Flaw:
    return Flaw(
        place,
        "bomb",
        f"the archive became {given} bytes, expected no more than {BOMB_RATIO} times its size",
        "take it out of corpus.sources, or unpack it if it is sound",
        "",
    )
