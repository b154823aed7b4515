"""Web archives: pages and texts of their records, and damaged records set apart."""

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, Reading, SourceFile
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.readers.warc import read_warc
from tests.readings import items_of, texts_in

pytest.importorskip("fastwarc")
brotli = pytest.importorskip("brotli")
SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "warcio_samples"
PAGE = "<html><body><main><p>It was dark; 雪 fell.</p></main></body></html>".encode()


def _record(
    content: bytes, kind: str = "response", length: int | None = None, **more: str
) -> bytes:
    headers = {"WARC-Type": kind, "WARC-Target-URI": "http://x.y/z", **more}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    length = len(content) if length is None else length
    head = f"WARC/1.0\r\n{lines}Content-Length: {length}\r\n\r\n"
    return head.encode() + content + b"\r\n\r\n"


def _answer(
    body: bytes, media_type: str = "text/html; charset=utf-8", status: int = 200, more: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\n{more}\r\n"
    return _record(head.encode() + body)


def _read(data: bytes, **fields: Any) -> list[Item]:
    file = SourceFile(
        "s", "x.warc", Path("/x.warc"), 0, "", 0, Format("warc"), "text", "auto", "file"
    )
    return list(read_warc(io.BytesIO(data), Reading(Fragment(file), CorpusConfig(**fields))))


def _texts(items: list[Item]) -> list[str]:
    texts = [
        text for item in items if isinstance(item, DocumentBatch) for text in item.texts.to_pylist()
    ]
    return [text.strip() for text in texts]


def _flaws(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Flaw)]


def test_a_page_becomes_its_text() -> None:
    (batch,) = _read(_record(b"", "warcinfo") + _answer(PAGE))
    assert isinstance(batch, DocumentBatch)
    assert _texts([batch]) == ["It was dark; 雪 fell."]
    assert batch.place(0) == "record 2"


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (gzip.compress(PAGE), "Content-Encoding: gzip\r\n"),
        (zlib.compress(PAGE), "Content-Encoding: deflate\r\n"),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE), "Transfer-Encoding: chunked\r\n"),
        (PAGE, "Transfer-Encoding: chunked\r\n"),
        (gzip.compress(PAGE[:9]) + gzip.compress(PAGE[9:]) + b"\r\n", "Content-Encoding: gzip\r\n"),
        (zlib.compress(PAGE)[2:-4], "Content-Encoding: deflate\r\n"),
        (zstandard.compress(gzip.compress(PAGE)), "Content-Encoding: gzip, zstd\r\n"),
        (brotli.compress(PAGE), "Content-Encoding: br\r\n"),
        *[(PAGE, f"Content-Encoding: {each}\r\n") for each in ("gzip", "deflate", "zstd", "br")],
    ],
)
def test_what_http_did_to_a_page_is_undone(body: bytes, more: str) -> None:
    assert _texts(_read(_answer(body, more=more))) == ["It was dark; 雪 fell."]


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.compress),
        ("br", brotli.compress),
        ("x", gzip.compress),
    ],
)
def test_a_page_that_lacks_its_end_is_a_flaw(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    page = PAGE * 9
    (flaw,) = _read(_answer(compress(page)[:-30], more=f"Content-Encoding: {coding}\r\n"))
    assert isinstance(flaw, Flaw) and flaw.reason == "damaged" and flaw.bytes


@pytest.mark.parametrize(
    "record",
    [
        _record(b"WET", "conversion", WARC_Truncated="length"),
        _record(b"WET", "conversion", WARC_Segment_Number="1"),
        _answer(PAGE, status=206),
        _answer(PAGE, more="Content-Length: 9999\r\n"),
    ],
)
def test_a_page_that_its_crawler_did_not_get_whole_is_counted(record: bytes) -> None:
    cut, batch = _read(record)
    assert cut == Repaired("cut_pages", 1) and isinstance(batch, DocumentBatch)
    assert not [item for item in _read(_answer(PAGE)) if isinstance(item, Repaired)]


def test_the_charset_of_the_server_is_believed() -> None:
    page = PAGE.decode().encode("gb18030")
    assert _texts(_read(_answer(page, "text/html; charset=gb2312"))) == ["It was dark; 雪 fell."]


@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
def test_a_page_in_utf_16_is_read_without_a_mark(media_type: str) -> None:
    page = _answer("It was dark; 雪 fell.".encode("utf-16-le"), media_type)
    assert _texts(_read(page)) == ["It was dark; 雪 fell."]


def test_a_draft_of_the_standard_is_read_too() -> None:
    answer = _answer(PAGE).replace(b"WARC/1.0", b"WARC/0.18").replace(b"\r\n", b"\n")
    answer = answer.replace(
        b"Content-Length: ", b"WARC-Identified-Payload-Type: \nContent-Length: "
    )
    length = len(answer[answer.index(b"HTTP/1.1") : -2])
    answer = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % length, answer)
    cut = answer[:-60].rstrip() + b"\n\n"
    items = _read(answer + cut + answer)
    assert (_texts(items), _flaws(items)) == (["It was dark; 雪 fell."] * 2, ["truncated"])


def test_conversions_and_plain_text_are_documents() -> None:
    data = _record("二\r\n三".encode(), "conversion") + _answer(b"four", "text/plain")
    assert _texts(_read(data)) == ["二\n三", "four"]


def test_other_records_are_no_documents() -> None:
    data = b"".join(
        [
            _record(b"GET / HTTP/1.1\r\n\r\n", "request"),
            _record(b"x", "metadata"),
            _record(b"x", "revisit"),
            _answer(b"\x89PNG", "image/png"),
            _answer(PAGE, status=404),
            _answer(PAGE, status=301),
        ]
    )
    assert _read(data) == []


def test_a_wrong_length_costs_one_record() -> None:
    page = b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\n\r\n" + PAGE
    data = _answer(PAGE) + _record(page, length=len(page) + 40) + _answer(b"<p>next", "text/html")
    items = _read(data)
    assert _texts(items) == ["It was dark; 雪 fell.", "next"]
    assert _flaws(items) == ["truncated"]


def test_the_reader_goes_on_after_rubbish() -> None:
    items = _read(_answer(PAGE) + b"rubbish\r\n" * 9 + _answer(PAGE))
    assert len(_texts(items)) == 2
    assert _flaws(items) == ["damaged"]


def test_an_archive_that_is_cut_off_gives_what_it_has() -> None:
    items = _read((_answer(PAGE) * 2)[:-20])
    assert len(_texts(items)) == 1
    assert _flaws(items) == ["truncated"]
    assert next(item.place for item in items if isinstance(item, Flaw)).startswith(
        "record 2 at byte"
    )


def test_a_record_before_the_damage_is_read(tmp_path: Path) -> None:
    one, two = (gzip.compress(_record(text, "conversion")) for text in (b"one", b"two"))
    (tmp_path / "x.warc.gz").write_bytes(one + two[:20])
    items = items_of(tmp_path / "x.warc.gz")
    assert (texts_in(items), _flaws(items)) == (["one"], ["truncated"])


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, ""])
def test_a_length_that_is_none_is_a_flaw(length: str) -> None:
    data = _answer(PAGE).replace(b"Content-Length: ", f"Content-Length: {length}\r\nX: ".encode())
    items = _read(data + _answer(PAGE))
    assert (len(_texts(items)), _flaws(items)) == (1, ["damaged"])


def test_a_page_that_is_too_long_is_passed_over() -> None:
    bomb = gzip.compress(bytes(4 << 20))
    data = _answer(bomb, more="Content-Encoding: gzip\r\n") + _record(bytes(3 << 20), "conversion")
    items = _read(data + _answer(PAGE), max_document_bytes=1 << 20)
    assert _texts(items) == ["It was dark; 雪 fell."]
    assert _flaws(items) == ["too_long", "too_long"]


def test_a_damaged_body_is_a_flaw() -> None:
    items = _read(_answer(b"\x1f\x8b rubbish", more="Content-Encoding: gzip\r\n") + _answer(PAGE))
    assert len(_texts(items)) + len(_flaws(items)) == 2
    assert "It was dark; 雪 fell." in _texts(items)


def test_real_archives_are_read_or_set_apart() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the folder warcio_samples is not beside the checkout")
    found = {}
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix not in (".sha256", ".txt"):
            data = path.read_bytes()
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
            items = _read(data)
            found[path.name] = (len(_texts(items)), Counter(_flaws(items)))
    damaged = {name: dict(flaws) for name, (_, flaws) in found.items() if flaws}
    assert damaged == {
        "bad.arc": {"damaged": 2},
        "example-space-in-url.arc": {"truncated": 1},
        "example-trunc.warc": {"damaged": 2},
    }
    without = {name for name, (texts, flaws) in found.items() if not texts and not flaws}
    # A picture, requests alone, and JSON.
    assert without == {
        "example-space-in-target-uri.warc.gz",
        "example-digest.warc",
        "post-test.warc.gz",
    }


SOUND = _record(b"", "warcinfo") + _answer(gzip.compress(PAGE), more="Content-Encoding: gzip\r\n")
SOUND += _record("雪".encode(), "conversion") + _answer(PAGE, more="Transfer-Encoding: chunked\r\n")


@given(st.data())
@settings(max_examples=100)
def test_no_bytes_fail(data: st.DataObject) -> None:
    archive = bytearray(SOUND)
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(archive)))
        archive[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    assert all(isinstance(item, Item) for item in _read(bytes(archive)))
