"""Which encoding bytes of text are in, and the way from there to UTF-8.

A byte order mark decides; else text that is mostly UTF-8 is UTF-8; else what the bytes look like.
Bytes that no encoding explains stay as they are, so that the documents they are in can be found.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import chain

SAMPLE = 1 << 20
UTF_8 = "utf-8"

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The commonest signs of Chinese text, both scripts. Every tenth sign of it is one of these; of
# other bytes that pass for Chinese, one in some hundreds.
_COMMON_CHINESE = frozenset("的一是不了在人有我他这這中大来來上国國，。、")
_MIN_CHINESE = 0.03
_HEAD = 1 << 12
# In Windows-1252: letters with accents beside a Latin letter, and typographic signs.
_WESTERN = re.compile(
    rb"(?<=[A-Za-z\xc0-\xfd])[\xc0-\xd6\xd8-\xf6\xf8-\xfd]|[\xc0-\xd6\xd8-\xf6\xf8-\xfd]"
    rb"(?=[A-Za-z])|[\x80\x82-\x89\x8b\x91-\x99\x9b\xa0\xa1\xa3\xa7\xa9\xab\xae\xb0\xb2-\xb4"
    rb"\xb7\xbb-\xbf]|(?<= )[\xc0\xe0](?= )"
)
_HIGH_BYTES = re.compile(rb"[\x80-\xff]")
_MIN_WESTERN = 0.9


def encoding_of(head: bytes) -> str:
    """The encoding that text begins in; one of the names of `codecs.lookup`.

    Args:
        head: the first SAMPLE bytes, or all.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    return _wide(head) or guess(head) or UTF_8


def guess(data: bytes) -> str | None:
    """The encoding, other than UTF-8, that data may be in; None where UTF-8 is likelier.

    Only up to SAMPLE bytes around the first one that is not UTF-8 are looked at.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return _guess(data, error.start, error.reason)
    return None


def to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The text in UTF-8; bytes that the encoding has not become bytes that UTF-8 has not."""
    codecs.register_error("mark", _mark)
    decoder = codecs.getincrementaldecoder(encoding)("mark")
    for chunk in chain(chunks, [None]):
        text = decoder.decode(chunk or b"", final=chunk is None)
        yield text.encode("utf-8", "surrogateescape")


def without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8 text without its byte order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(codecs.BOM_UTF8):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8 text with LF for CR LF and CR."""
    held = b""
    for chunk in chunks:
        data = held + chunk if held else chunk
        held = b""
        if b"\r" in data:
            # What follows it decides whether the last one is half of a CR LF.
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = line_feeds(data)
        yield data
    yield line_feeds(held)


def line_feeds(data: bytes) -> bytes:
    """The text with LF for CR LF and CR."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _mark(error: UnicodeError) -> tuple[str, int]:
    """One byte 0xFF, which is in no UTF-8, for what cannot be decoded."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by its NUL bytes, which lie in some places of each character only."""
    sample = head[:_HEAD]
    size = len(sample) // 4
    nuls = [sample[place::4].count(0) for place in range(4)]
    if size == 0 or sum(nuls) < 0.02 * 4 * size:
        return None
    few, most = 0.01 * size, 0.9 * size
    if nuls[2] > most and nuls[3] > most and nuls[0] <= few:
        return "utf-32-le"
    if nuls[0] > most and nuls[1] > most and nuls[3] <= few:
        return "utf-32-be"
    even, odd = nuls[0] + nuls[2], nuls[1] + nuls[3]
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    if max(even, odd) <= 20 * min(even, odd) or not _is_valid(sample, encoding):
        return None
    # Of text that is not Latin few bytes are NUL, but then it is no UTF-8.
    mostly_latin = max(even, odd) > 0.4 * len(sample) / 2
    return encoding if mostly_latin or not _is_valid(sample, UTF_8) else None


def _is_valid(sample: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return encoding == UTF_8 or "\0" not in text


def _guess(data: bytes, bad: int, reason: str) -> str | None:
    if reason == "unexpected end of data":
        return None
    start = max(0, bad - _HEAD)
    sample = data[start : start + SAMPLE]
    text = sample.decode("utf-8", "surrogateescape")
    sound = len(re.findall("[\u0080-\ud7ff\ue000-\U0010ffff]", text))
    # Text of two bytes a character has some that pass for UTF-8, but most do not.
    if 2 * sound >= len(re.findall("[\udc80-\udcff]", text)):
        return None
    # Text of two bytes a character may be cut before its second.
    before = bad - start
    scores = {name: _chinese_share(sample[before:], name) for name in ("gb18030", "big5")}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > _MIN_CHINESE:
        return best
    western = len(_WESTERN.findall(sample)) / len(_HIGH_BYTES.findall(sample))
    return "cp1252" if western >= _MIN_WESTERN else None


def _chinese_share(sample: bytes, encoding: str) -> float:
    """The share of characters other than ASCII that are among the commonest Chinese ones."""
    text = sample.decode(encoding, "replace")
    foreign = [character for character in text if character > "\x7f"]
    bad = text.count("\ufffd")
    kana = sum("\u3040" <= character <= "\u30ff" for character in foreign)
    # GB18030 has the punctuation and the kana of EUC-JP in the same places.
    if not foreign or bad > 0.01 * len(foreign) + 1 or kana > 0.1 * len(foreign):
        return 0.0
    return sum(character in _COMMON_CHINESE for character in foreign) / len(foreign)
