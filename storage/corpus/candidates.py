"""What a source yields: candidates for documents, and flaws in the place of what cannot be read."""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_EXCERPT = 200
_SAMPLE = 1 << 20
# The commonest signs of Chinese text: where two encodings fit the bytes, these tell them apart.
_COMMON_CHINESE = "的一是不了在人有，。"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Text that may become a document: where in its source it lies, and the text twice over."""

    place: str
    text: str
    utf8: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """A document that cannot be read.

    Attributes:
        place: where in its source.
        reason: bad_encoding, bad_json, no_text or truncated.
        finding: what was found and expected, as the middle of a sentence.
        remedy: what mends it, as the end of a sentence.
        excerpt: the beginning of what is there.
    """

    place: str
    reason: str
    finding: str
    remedy: str
    excerpt: str


def excerpt_of(text: str) -> str:
    """The beginning of a text, for a sample; what UTF-8 cannot hold is escaped."""
    return text[:_EXCERPT].encode("utf-8", "backslashreplace").decode()


def candidate(place: str, text: str) -> Candidate | Flaw:
    """The candidate with this text, unless UTF-8 cannot hold it or it has NUL characters."""
    text = newlines(text)
    try:
        utf8 = text.encode()
    except UnicodeEncodeError as error:
        finding = f"found half of a surrogate pair at character {error.start}, expected Unicode"
        return Flaw(place, "bad_encoding", finding, "mend the text", excerpt_of(text))
    # UTF-16 without a byte order mark is valid UTF-8 full of these, so they are not passed over.
    if b"\0" in utf8:
        finding = f"found a NUL at character {text.index(chr(0))}, expected text"
        remedy = 'remove it, or set corpus.encoding="utf-16" if the file is that'
        return Flaw(place, "bad_encoding", finding, remedy, excerpt_of(text))
    return Candidate(place, text, utf8)


def newlines(text: str) -> str:
    """The text with LF for CR LF and CR."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def name_some(names: Iterable[str]) -> str:
    """A list of names for a sentence, cut short after 20."""
    names = list(names)
    return ", ".join([*names[:20], "…"] if len(names) > 20 else names) or "none"


def no_text(place: str, field: str, record: Mapping[str, Any], excerpt: str) -> Flaw:
    """The flaw of a record whose field is missing or holds no string."""
    found = f"of type {type(record[field]).__name__}" if field in record else "missing"
    return Flaw(
        place,
        "no_text",
        f"the field {field!r} is {found}, expected a string (fields: {name_some(record)})",
        "set corpus.text_field to the field that holds the text",
        excerpt,
    )


def truncated(place: str, error: Exception) -> Flaw:
    """The flaw at which a compressed file ends too early."""
    finding = f"the compressed data are cut off or damaged ({error}), expected a whole gzip file"
    return Flaw(place, "truncated", finding, "fetch the file again", "")


def bad_bytes(data: bytes, error: UnicodeDecodeError, place: str) -> Flaw:
    """The flaw of data that `error` says are not in the expected encoding."""
    guess = " or ".join(_guess_encodings(data, error))
    remedy = f"set corpus.encoding to {guess}, which may fit" if guess else "mend the bytes"
    found = data[error.start : error.start + 1].hex() or "nothing"
    return Flaw(
        place,
        "bad_encoding",
        f"found the byte 0x{found} ({error.reason}), expected {error.encoding}",
        remedy,
        data[:_EXCERPT].decode(error.encoding, "backslashreplace"),
    )


def _guess_encodings(data: bytes, error: UnicodeDecodeError) -> list[str]:
    """The encodings that data may be in; none where UTF-8 with a bad byte is likelier."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return ["utf-32"]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if not data[: error.start].isascii() or error.reason == "unexpected end of data":
        return []
    # Latin-1 fits any bytes, so it stands for what is not recognised as Chinese.
    scores = {"latin-1": 0}
    for encoding in ("gb18030", "big5"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(data[:_SAMPLE])
        except UnicodeDecodeError:
            continue
        scores[encoding] = sum(text.count(character) for character in _COMMON_CHINESE)
    best = max(scores.values())
    return [encoding for encoding, score in scores.items() if score == best]
