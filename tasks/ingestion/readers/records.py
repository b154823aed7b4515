"""The records of a web archive, one after the other, whatever is damaged between them.

WARC 1.0 and 1.1 (ISO 28500), and their drafts from 0.17 on: a version line, headers, a blank line,
as many bytes of content as `Content-Length` says, two line ends. ARC: a line
`address IP date type length`, the content, a line end. Where neither is found, the reader goes on
at the next line that begins a record.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from corpusmill.tasks.ingestion.batches import Flaw, place_of
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.streams import DamageError

_CHUNK = 1 << 20
_LINE = 1 << 16
_HEADERS = 1 << 20
_LOOK_AHEAD = 32
_WARC = re.compile(rb"WARC/\d\.\d+\r?\n\Z")
_ARC = re.compile(rb"(\S.*) \S+ \d{8,} ?(\S*) (\d+)\r?\n\Z")
_NEXT_WARC = re.compile(rb"(?:\r?\n)+WARC/\d\.\d+\r?\n")
_PART = {"warc-truncated", "warc-segment-number"}
_TEXTS = ("response", "resource", "conversion")


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        number: from 1 on.
        offset: of its first byte in the (decompressed) archive.
        kind: response, resource, conversion, request, …
        uri: what it is a record of.
        media_type: as the headers of the record say.
        content: what follows the headers.
        is_part: whether the crawler says that the content is truncated.
    """

    number: int
    offset: int
    kind: str
    uri: str
    media_type: str
    content: bytes
    is_part: bool

    @property
    def place(self) -> str:
        return _place(self.number, self.offset, self.uri)


class _PushbackStream:
    """A stream of bytes, some of which can be pushed back to be read again."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self.offset = 0

    def line(self) -> bytes:
        """The bytes up to and with the next LF; no more than 64 KiB of them."""
        end = self._buffer.find(b"\n", self._at) + 1
        while not end and len(self._buffer) - self._at < _LINE and self._fill():
            end = self._buffer.find(b"\n", self._at) + 1
        end = min(end or len(self._buffer), self._at + _LINE)
        line = self._buffer[self._at : end]
        self._at = end
        self.offset += len(line)
        return line

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or those that are left."""
        data = self.peek(count)
        self._at += len(data)
        self.offset += len(data)
        return data

    def peek(self, count: int) -> bytes:
        parts, size = [self._buffer[self._at : self._at + count]], len(self._buffer) - self._at
        while size < count and (chunk := self._stream.read(_CHUNK)):
            parts.append(chunk)
            size += len(chunk)
        if len(parts) > 1:
            self._buffer, self._at = b"".join(parts), 0
        return self._buffer[self._at : self._at + count]

    def skip(self, count: int) -> int:
        """Passes over bytes without keeping them; returns how many there were."""
        left = count
        while left and (data := self.take(min(left, _CHUNK))):
            left -= len(data)
        return count - left

    def push_back(self, data: bytes) -> None:
        self._buffer, self._at = data + self._buffer[self._at :], 0
        self.offset -= len(data)

    def _fill(self) -> bool:
        chunk = self._stream.read(_CHUNK)
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return bool(chunk)


def read_records(stream: BinaryIO, limit: int) -> Iterator[Record | Flaw]:
    """All records in order, and flaws in the place of damaged ones.

    A record with more than `limit` bytes of content (and room for HTTP headers) is a flaw too if it
    may hold text.
    """
    source = _PushbackStream(stream)
    number = 0
    is_arc = source.peek(11) == b"filedesc://"
    while line := source.line():
        if not line.strip():
            continue
        number += 1
        offset = source.offset - len(line)
        head = _arc_head(line) if is_arc else _warc_head(line, source)
        if isinstance(head, _Head):
            yield from _content(source, head, number, offset, limit + _HEADERS)
        else:
            _go_to_next(source, is_arc)
            lost = source.offset - offset
            yield _flaw(_place(number, offset, ""), "damaged", f"found {head}", line, lost)


@dataclass(frozen=True, slots=True)
class _Head:
    """The headers of a record."""

    kind: str
    uri: str
    media_type: str
    length: int
    is_part: bool = False


def _warc_head(line: bytes, stream: _PushbackStream) -> _Head | str:
    """The head of a WARC record, or what was found instead."""
    if not _WARC.match(line):
        return "no beginning of a record"
    start, headers, name = stream.offset, dict[str, str](), ""
    while (line := stream.line()).strip():
        if stream.offset - start > _HEADERS:
            return "headers without an end"
        text = line.decode("utf-8", "replace").rstrip()
        if not text[0].isspace():
            name, _, text = text.partition(":")
            name = name.lower()
        headers[name] = (headers.get(name, "") + " " + text.strip()).strip()
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        return f"the length {length[:40]!r}"
    uri = headers.get("warc-target-uri", "").strip("<>")
    kind = headers.get("warc-type", "").lower()
    is_part = not _PART.isdisjoint(headers)
    return _Head(kind, uri, headers.get("content-type", ""), int(length), is_part)


def _arc_head(line: bytes) -> _Head | str:
    """The head of an ARC record, or what was found instead."""
    found = _ARC.match(line)
    if not found or len(found[3]) > 18:
        return "no line `address IP date type length`"
    uri, media_type = (found[group].decode("utf-8", "replace") for group in (1, 2))
    kind = "warcinfo" if uri.startswith("filedesc:") else "response"
    return _Head(kind, uri, media_type, int(found[3]))


def _content(
    stream: _PushbackStream, head: _Head, number: int, offset: int, limit: int
) -> Iterator[Record | Flaw]:
    place = _place(number, offset, head.uri)
    if head.length > limit:
        size = stream.skip(head.length)
        if head.kind in _TEXTS:
            yield too_long(place, head.length, limit, head.uri)
        if size < head.length:
            yield _flaw(place, "truncated", f"found {size} of {head.length} bytes", b"", None)
        return
    content = stream.take(head.length)
    whole = Record(number, offset, head.kind, head.uri, head.media_type, content, head.is_part)
    try:
        after = stream.peek(_LOOK_AHEAD)
    except DamageError:
        # What is damaged comes after this record.
        yield whole
        raise
    if len(content) == head.length and (not after or after[:1] in b"\r\n"):
        yield whole
        return
    # The length is wrong, or bytes are missing: another record may have begun already.
    following = _NEXT_WARC.search(content + after)
    if following and following.start() < len(content):
        stream.push_back(content[following.start() :])
        content = content[: following.start()]
    elif len(content) == head.length:
        # What follows will be found to be no record.
        yield whole
        return
    finding = f"found {len(content)} of {head.length} bytes"
    yield _flaw(place, "truncated", finding, content, len(content) if following else None)


def _go_to_next(stream: _PushbackStream, is_arc: bool) -> None:
    pattern = _ARC if is_arc else _WARC
    while line := stream.line():
        if pattern.match(line):
            stream.push_back(line)
            return


def _flaw(place: str, reason: str, finding: str, data: bytes, lost: int | None) -> Flaw:
    excerpt = data[:200].decode("utf-8", "replace")
    remedy = "fetch the archive again, or leave the record out"
    return Flaw(place, reason, f"{finding}, expected a whole record", remedy, excerpt, lost)


def _place(number: int, offset: int, uri: str) -> str:
    return f"{place_of('record', number)} at byte {offset}" + (f", {uri[:200]}" if uri else "")
