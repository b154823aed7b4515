"""HTML pages: the main text of each, without navigation, scripts and markup."""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from storage.corpus.blocks import WHOLE_FILE, Flaw
from storage.corpus.pieces import Reading
from storage.corpus.readers.flaws import too_long
from storage.corpus.readers.gate import Item
from storage.corpus.readers.gathered import Found, gather
from storage.corpus.streams import DamageError
from storage.errors import CorpusError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The heuristics for main content take time with the square of the depth of such elements.
_NESTING = re.compile(r"<(/?)(?:div|article)\b", re.IGNORECASE)
_DEPTH = 100


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
    # A page that is cut off is none, which a damaged stream says only after its last bytes.
    stream.read(1)
    declared = None if reading.file.encoding == "auto" else reading.file.encoding
    try:
        text = extract(decode(data, declared), reading.config.html_extractor)
    except ValueError as error:
        yield no_page(WHOLE_FILE, error, data)
        return
    yield from gather([Found(0, text)], reading, WHOLE_FILE)


def no_page(place: str, error: Exception, data: bytes) -> Flaw:
    """The flaw of a page that an extractor or a decoder cannot cope with."""
    return Flaw(
        place,
        "damaged",
        f"found a page that cannot be taken apart ({error}), expected HTML",
        "fetch it again, or leave it out",
        data[:200].decode("utf-8", "replace"),
        len(data),
    )


def decode(data: bytes, declared: str | None) -> str:
    """A page as text: by its byte order mark, by what was declared, or by what it says itself."""
    try:
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5
    except ImportError as error:
        raise _missing("resiliparse", error) from error
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and declared:
        encoding = map_encoding_to_html5(declared, False)
    if encoding is None:
        encoding = detect_encoding(data, from_html_meta=True)
    text: str = bytes_to_str(data, encoding or "utf-8", "replace")
    return text


def extract(page: str, extractor: str) -> str:
    """The main text of a page, by resiliparse or by trafilatura.

    Raises:
        CorpusError: the package is not installed.
        ValueError: the package fails on this page.
    """
    find = _trafilatura() if extractor == "trafilatura" else _resiliparse()
    try:
        return find(page)
    except Exception as error:  # hostile pages find the errors that their authors did not
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
