"""Dumps of Wikipedia and other MediaWikis: XML, read page by page in constant memory.

Articles are documents; redirects and pages of other namespaces (talk, templates, categories, …) are
not. Each page is parsed by itself, so that a damaged one is lost alone, and no entity that the
file declares can be expanded.
"""

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, place_of
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.readers.gathered import Found, gather
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.readers.wikitext import plain_text
from corpusmill.tasks.ingestion.streams import DamageError

_OPENING = b"<page>"
_CLOSING = b"</page>"
_END = b"</mediawiki>"
_CHUNK = 1 << 20
# Text inside XML is longer than text, and a page is more than its text.
_ESCAPED = 2


def read_wikipedia(stream: BinaryIO, reading: Reading) -> Iterator[Item]:
    """The articles of a dump as plain text: the title, a blank line, and what was written.

    A file that declares entities is refused as a whole; so is XML that is no dump.

    Raises:
        DamageError: such a file.
    """
    return gather(_articles(stream, reading), reading, "page")


def _articles(stream: BinaryIO, reading: Reading) -> Iterator[Found | Flaw]:
    limit = _ESCAPED * reading.config.max_document_bytes + _CHUNK
    number = 0
    for is_page, data in _segments(stream, limit):
        if not is_page:
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                raise DamageError(_declaration(number, data))
        else:
            number += 1
            if len(data) > limit:
                yield too_long(place_of("page", number), len(data), limit, _excerpt(data))
            elif data.endswith(_CLOSING) and (found := _article(number, data)):
                yield found
    if number == 0:
        raise DamageError(_no_dump(data))
    if is_page or _END not in data:
        yield _cut_off(number, is_page, data)


def _segments(stream: BinaryIO, limit: int) -> Iterator[tuple[bool, bytes]]:
    """What lies before a page, the page, what lies after it, the next page, … to the end.

    Segments that are longer than `limit` lose their middle.
    """
    buffer = bytearray()
    is_page, searched = False, 0
    while chunk := stream.read(_CHUNK):
        buffer += chunk
        while (at := buffer.find(_CLOSING if is_page else _OPENING, searched)) >= 0:
            at += len(_CLOSING) if is_page else 0
            yield is_page, bytes(buffer[:at])
            del buffer[:at]
            is_page, searched = not is_page, 0
        searched = max(0, len(buffer) - len(_END))
        del buffer[limit + 1 : searched]
        searched = min(searched, limit + 1)
    yield is_page, bytes(buffer)


def _article(number: int, page: bytes) -> Found | Flaw | None:
    try:
        root = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        return Flaw(
            place_of("page", number),
            "damaged",
            f"found XML that is not well-formed ({error}), expected a page of a dump",
            "fetch the dump again",
            _excerpt(page),
            len(page),
        )
    revisions = root.findall("revision")
    wikitext = (revisions[-1].findtext("text") if revisions else None) or ""
    is_redirect = root.find("redirect") is not None or wikitext[:9].upper() == "#REDIRECT"
    if root.findtext("ns", "0") != "0" or is_redirect:
        return None
    text = plain_text(wikitext)
    return Found(number, f"{root.findtext('title', '')}\n\n{text}" if text else "")


def _declaration(number: int, outside: bytes) -> Flaw:
    """The flaw of a file that declares entities, which could expand without bound or read files."""
    return Flaw(
        f"after page {number}" if number else WHOLE_FILE,
        "bomb",
        "found a document type declaration, which may define entities, expected none",
        "take it out of the file if you trust it: dumps of MediaWiki have none",
        _excerpt(outside),
        len(outside),
    )


def _no_dump(outside: bytes) -> Flaw:
    return Flaw(
        WHOLE_FILE,
        "damaged",
        "found no <page>, expected the XML of a MediaWiki dump",
        "take the file out of corpus.sources, or convert it to a format that is read",
        _excerpt(outside),
    )


def _cut_off(number: int, inside: bool, buffer: bytes) -> Flaw:
    where = "in the middle of a page" if inside else "after a page"
    return Flaw(
        place_of("page", number),
        "truncated",
        f"found the end of the file {where}, expected </mediawiki>",
        "fetch the dump again",
        _excerpt(buffer),
        None,
    )


def _excerpt(data: bytes) -> str:
    return data[:200].decode("utf-8", "replace")
