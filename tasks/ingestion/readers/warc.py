"""Web archives: WARC with pages or, as .wet, with text; and their forerunner ARC.

Documents are responses (status 200 to 299) and resources of the web that hold HTML or plain text,
and conversions, which are text. Requests, metadata, revisits, redirects, error pages, images and so
on are not documents. The records are framed here, since a library's iterator ends at the first
damaged one; fastwarc parses and decodes the HTTP in each.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import Flaw, Repaired
from corpusmill.tasks.ingestion.encodings import SAMPLE, certain
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.content_codings import decoded_content
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.readers.gathered import Found, gather
from corpusmill.tasks.ingestion.readers.html import admit, decode, extract, no_page
from corpusmill.tasks.ingestion.readers.records import Record, read_records
from corpusmill.tasks.ingestion.readers.sanitizer import Item

_HTML = ("text/html", "application/xhtml+xml")
_PLAIN = "text/plain"
_CHUNK = re.compile(rb"\A(?:[^\r\n][^\n]*\n)*\r?\n\s*[0-9a-fA-F]+[ \t]*(?:;[^\n]*)?\r?\n")
_HEADER = re.compile(rb"(?:[^\r\n][^\n]*\n)*\r?\n")
_PARTIAL = 206
_HTTP_HEAD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
    b"Content-Length: %d\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class _Page:
    """What a record holds: its bytes, media type, encoding where declared, whether it is cut."""

    data: bytes
    media_type: str
    charset: str | None
    is_part: bool = False


def read_warc(stream: BinaryIO, reading: Reading) -> Iterator[Item]:
    """The text of each document of an archive; a damaged record is a flaw and lost alone.

    Raises:
        CorpusError: a package that HTML or HTTP needs is not installed.
    """
    return gather(_documents(stream, reading), reading, "record")


def _documents(stream: BinaryIO, reading: Reading) -> Iterator[Found | Flaw | Repaired]:
    limit = reading.config.max_document_bytes
    for record in read_records(stream, limit):
        if isinstance(record, Flaw):
            yield record
            continue
        try:
            page = _page(record, limit)
            if page and len(page.data) > limit:
                yield too_long(record.place, len(page.data), limit, record.uri)
            elif page:
                yield from _texts(page, reading, record)
        except (OSError, ValueError) as error:  # raised by fastwarc and the extractors
            yield no_page(record.place, error, record.content)


def _texts(page: _Page, reading: Reading, record: Record) -> Iterator[Found | Flaw | Repaired]:
    if page.is_part or record.is_part:
        yield Repaired("cut_pages", 1)
    is_html = page.media_type in _HTML
    if not (is_html or page.charset or certain(page.data[:SAMPLE])):
        yield Found(record.number, page.data)
        return
    decoded = decode(page.data, page.charset)
    text = extract(decoded.text, reading.config.html_extractor) if is_html else decoded.text
    yield from admit(text, decoded, reading, record.place, record.number, len(record.content))


def _page(record: Record, limit: int) -> _Page | None:
    """What a record holds of the web; None where that is no document."""
    if record.kind == "conversion":
        return _Page(record.content, _PLAIN, None)
    if record.kind == "response" and record.content.startswith(b"HTTP/"):
        page = _answer(record.content, limit)
    elif record.kind in ("response", "resource") and record.uri.startswith(("http:", "https:")):
        media_type, _, rest = record.media_type.partition(";")
        charset = re.search(r"charset=[\"']?([\w.:-]+)", rest)
        page = _Page(record.content, media_type.strip().lower(), charset[1] if charset else None)
    else:
        return None
    return page if page and page.media_type in (*_HTML, _PLAIN) else None


def _answer(content: bytes, limit: int) -> _Page | None:
    """The body of an HTTP response, without chunks and compression."""
    try:
        from fastwarc.warc import ArchiveIterator
    except ImportError as error:
        raise CorpusError(
            f"web archives need the package fastwarc, which cannot be imported ({error}); expected "
            "it beside corpusmill; pip install 'corpusmill[web]'."
        ) from error
    # Early crawlers end the lines of the HTTP header with LF alone.
    head = _HEADER.match(content)
    if head and b"\r\n" not in head[0]:
        content = head[0].replace(b"\n", b"\r\n") + content[head.end() :]
    framed = io.BytesIO(_HTTP_HEAD % len(content) + content)
    # Many crawlers write the body without its chunks, and the header that announces them.
    decoding: Literal["transfer", "none"] = "transfer" if _CHUNK.search(content) else "none"
    response = next(iter(ArchiveIterator(framed, auto_decode=decoding)), None)
    if response is None or response.http_headers is None:
        raise ValueError("no HTTP headers")
    status = response.http_headers.status_code
    if status is None or not 200 <= status < 300:
        return None
    headers = {name.lower(): value for name, value in response.http_headers.astuples()}
    codings = [each.strip() for each in headers.get("content-encoding", "").lower().split(",")]
    data = response.reader.read()
    length = headers.get("content-length", "")
    is_part = status == _PARTIAL or (length.isdecimal() and len(data) < int(length))
    # fastwarc's own decoding refuses raw deflate and a body without the coding that is announced,
    # and gives what there is of one that is cut off.
    for coding in reversed(codings):
        data = decoded_content(data, coding, limit)
    media_type = (response.http_content_type or "").lower()
    return _Page(data, media_type, response.http_charset, is_part)
