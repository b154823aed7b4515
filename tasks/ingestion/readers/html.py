"""HTML pages: the main text of each, without navigation, scripts and markup."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, Repaired
from corpusmill.tasks.ingestion.encodings import SAMPLE, UTF_8, certain, guess, wider
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.readers.gathered import Found, gather
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.streams import DamageError

_DECLARATION = re.compile(
    rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]+)"""
    rb"""|<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 1 << 12
# The time of extraction is quadratic in the depth of these elements.
_NESTING = re.compile(r"<(/?)(?:div|article)\b", re.IGNORECASE)
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page as text.

    Attributes:
        text: with U+FFFD for what cannot be decoded.
        encoding: a name of `codecs.lookup`.
        is_guessed: whether the encoding was detected, not declared.
        is_sound: whether all of the page could be decoded.
    """

    text: str
    encoding: str
    is_guessed: bool
    is_sound: bool


def read_html(stream: BinaryIO, reading: Reading) -> Iterator[Item]:
    """The text of a page, which is one document; empty where nothing but markup was found.

    The encoding is that of the configuration or, with `auto`, what a byte order mark, the page's
    own declaration or its bytes tell.

    Raises:
        CorpusError: the package of the extractor is not installed.
        DamageError: the page is cut off, or longer than a document may be.
    """
    limit = reading.config.max_document_bytes
    data = stream.read(limit + 1)
    if len(data) > limit:
        excerpt = data[:200].decode("utf-8", "replace")
        raise DamageError(too_long(WHOLE_FILE, len(data), limit, excerpt))
    # A page that is cut off is not read; a damaged stream raises only after its last bytes.
    stream.read(1)
    file, config = reading.file, reading.config
    decoded = decode(data) if file.encoding == "auto" else decoded_as(data, file.encoding)
    try:
        text = extract(decoded.text, config.html_extractor)
    except ValueError as error:
        yield no_page(WHOLE_FILE, error, data)
        return
    yield from gather(admit(text, decoded, reading, WHOLE_FILE, 0, len(data)), reading, WHOLE_FILE)


def admit(
    text: str, decoded: Decoded, reading: Reading, place: str, number: int, size: int
) -> Iterator[Found | Flaw | Repaired]:
    """The text of a page of `size` bytes, if it is sound or may be repaired, and the repairs."""
    bad = 0 if decoded.is_sound else text.count("\ufffd")
    if bad and reading.config.on_bad_text != "repair":
        yield Flaw(
            place,
            "bad_encoding",
            f"found bytes that are not {decoded.encoding}, expected one encoding in all of a page",
            "fetch it again, set corpus.encoding to that of the page, "
            'or set corpus.on_bad_text="repair"',
            text[:200],
            size,
        )
        return
    if bad:
        yield Repaired("replaced_bytes", bad)
    if decoded.is_guessed:
        yield Repaired(f"decoded.{decoded.encoding}", 1)
    yield Found(number, text)


def no_page(place: str, error: Exception, data: bytes) -> Flaw:
    """The flaw of a page on which an extractor or a decoder fails."""
    return Flaw(
        place,
        "damaged",
        f"found a page that cannot be taken apart ({error}), expected HTML",
        "fetch it again, or leave it out",
        data[:200].decode("utf-8", "replace"),
        len(data),
    )


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """A page as text, in the first of these encodings in which all of it can be decoded.

    They are what `certain` finds; `declared`; the declaration in the page; UTF-8; what `guess`
    finds. If it can be decoded in none, the first declared one is taken, or else UTF-8.

    Args:
        declared: the encoding that the server declared, as a label of the WHATWG.

    Raises:
        CorpusError: the package resiliparse is not installed.
    """
    if shown := certain(data[:SAMPLE]):
        return decoded_as(data, shown)
    match = _DECLARATION.search(data[:_DECLARED_WITHIN])
    own = (match[1] or match[2]).decode() if match else None
    encodings = [name for label in (declared, own) if label and (name := _named(label))]
    for encoding in (*encodings, UTF_8):
        if (decoded := decoded_as(data, encoding)).is_sound:
            return decoded
    if (found := guess(data)) and (decoded := decoded_as(data, found, is_guessed=True)).is_sound:
        return decoded
    return decoded_as(data, [*encodings, UTF_8][0])


def decoded_as(data: bytes, encoding: str, *, is_guessed: bool = False) -> Decoded:
    """A page as text in this encoding, without its byte order mark."""
    try:
        text, is_sound = data.decode(encoding), True
    except UnicodeDecodeError:
        text, is_sound = data.decode(encoding, "replace"), False
    return Decoded(text.removeprefix("\ufeff"), encoding, is_guessed, is_sound)


def _named(label: str) -> str | None:
    """Python's name of an encoding by its WHATWG label; None for one that no page can be in."""
    try:
        from resiliparse.parse.encoding import map_encoding_to_html5
    except ImportError as error:
        raise _missing("resiliparse", error) from error
    name = map_encoding_to_html5(label, False)
    # A declaration that can be read as ASCII is not in UTF-16, whatever it says.
    if name is None or name.startswith("utf-16"):
        return None
    return wider(codecs.lookup(name).name)


def extract(page: str, extractor: str) -> str:
    """The main text of a page, by resiliparse or by trafilatura.

    Raises:
        CorpusError: the package is not installed.
        ValueError: the package fails on this page.
    """
    find = _trafilatura() if extractor == "trafilatura" else _resiliparse()
    try:
        return find(page)
    except Exception as error:  # on malformed pages extractors raise errors of many kinds
        raise ValueError(f"{extractor}: {str(error) or type(error).__name__}") from error


def _resiliparse() -> Callable[[str], str]:
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError as error:
        raise _missing("resiliparse", error) from error
    return lambda page: extract_plain_text(page, main_content=_depth(page) <= _DEPTH)


def _trafilatura() -> Callable[[str], str]:
    try:
        from trafilatura import extract as extract_text
    except ImportError as error:
        raise _missing("trafilatura", error) from error
    return lambda page: extract_text(page) or ""


def _depth(page: str) -> int:
    depth = deepest = 0
    for tag in _NESTING.finditer(page):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest


def _missing(package: str, error: ImportError) -> CorpusError:
    return CorpusError(
        f"HTML needs the package {package}, which cannot be imported ({error}); expected it "
        "beside corpusmill; pip install 'corpusmill[web]'."
    )
