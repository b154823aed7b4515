"""What HTTP did to a body on its way (RFC 9110, 8.4.1): gzip, deflate, zstd and br."""

import io
import zlib
from collections.abc import Callable

from corpusmill.tasks.ingestion.streams import DamageError, decompressed

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_INPUT = 1 << 12


def decoded_content(data: bytes, coding: str, limit: int) -> bytes:
    """A body without one content coding; of one that is too long, somewhat more than `limit` bytes.

    Many crawlers write the body without its coding, and the header that announces it: what is not
    in it is given as it is.

    Raises:
        ValueError: it is cut off or damaged, or the coding is unknown.
    """
    if coding in ("", "identity"):
        return data
    if coding not in _DECODERS:
        raise ValueError(f"the content coding {coding[:40]!r}")
    return _DECODERS[coding](data, limit)


def _gzip(data: bytes, limit: int) -> bytes:
    if not data.startswith(_GZIP):
        return data
    text = b""
    # What follows the last member is not part of the page.
    while data.startswith(_GZIP) and len(text) <= limit:
        part, data = _inflated(data, zlib.MAX_WBITS | 16, limit + 1 - len(text))
        text += part
    return text


def _deflate(data: bytes, limit: int) -> bytes:
    """By the standard within zlib's frame; some servers leave that out."""
    if len(data) > 1 and data[0] & 15 == zlib.DEFLATED and not int.from_bytes(data[:2]) % 31:
        return _inflated(data, zlib.MAX_WBITS, limit + 1)[0]
    try:
        return _inflated(data, -zlib.MAX_WBITS, limit + 1)[0]
    except ValueError:
        return data


def _inflated(data: bytes, window: int, size: int) -> tuple[bytes, bytes]:
    """Up to `size` bytes of text, and what follows it."""
    inflater = zlib.decompressobj(window)
    try:
        text = inflater.decompress(data, size)
    except zlib.error as error:
        raise ValueError(f"compressed data that are damaged: {error}") from error
    if not inflater.eof and len(text) < size:
        raise ValueError("compressed data that are cut off")
    return text, inflater.unused_data


def _zstd(data: bytes, limit: int) -> bytes:
    if not data.startswith(_ZSTD):
        return data
    parts, size = list[bytes](), 0
    try:
        for part in decompressed(io.BytesIO(data), "zst"):
            parts.append(part)
            size += len(part)
            if size > limit:
                break
    except DamageError as error:
        raise ValueError(error.flaw.finding) from error
    return b"".join(parts)


def _brotli(data: bytes, limit: int) -> bytes:
    import brotli

    inflater, parts, size = brotli.Decompressor(), list[bytes](), 0
    try:
        for start in range(0, len(data), _INPUT):
            parts.append(inflater.process(data[start : start + _INPUT]))
            size += len(parts[-1])
            if size > limit or inflater.is_finished():
                return b"".join(parts)
    except brotli.error as error:
        if parts or not _is_utf8(data):  # it has no magic number
            raise ValueError(f"compressed data that are damaged: {error}") from error
        return data
    raise ValueError("compressed data that are cut off")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "br": _brotli,
}
