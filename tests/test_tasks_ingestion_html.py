"""HTML: the main text of a page, whatever its encoding and however hostile."""

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, Reading, SourceFile
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.readers.html import read_html
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from tests.readings import all_of

pytest.importorskip("resiliparse")
VARIANTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "format_variants"
PAGE = """<html><head>{head}<title>T</title><script>var x;</script></head><body>
<nav><a href="/">Home</a></nav>
<main><h1>T</h1><p>It was dark &amp; cold; 雪 fell.</p>{more}</main></body></html>"""
MORE = "<p>Nobody had been out since the morning, and the road to the village was closed.</p>" * 9


def _read(data: bytes, encoding: str = "auto", **fields: Any) -> list[Item]:
    file = SourceFile(
        "s", "x.html", Path("/x.html"), 0, "", 0, Format("html"), "text", encoding, "file"
    )
    return all_of(read_html(io.BytesIO(data), Reading(Fragment(file), CorpusConfig(**fields))))


def _text(data: bytes, encoding: str = "auto", **fields: Any) -> str:
    (batch,) = _read(data, encoding, **fields)
    assert isinstance(batch, DocumentBatch)
    text: str = batch.texts[0].as_py()
    return text


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_the_main_text_is_found_without_markup(extractor: str) -> None:
    pytest.importorskip(extractor)
    text = _text(PAGE.format(head="", more=MORE).encode(), html_extractor=extractor)
    assert "It was dark & cold; 雪 fell." in text
    assert not any(word in text for word in ("Home", "var x", "<p>"))


@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("gb18030", '<meta charset="gb2312">'),
        ("big5", '<meta http-equiv="Content-Type" content="text/html; charset=big5">'),
        ("euc_jp", '<?xml version="1.0" encoding="EUC-JP"?>'),
        ("utf-16-le", '<meta charset="utf-8">'),
        ("utf-16-be", '<meta charset="utf-16">'),
        # What is declared, or not known to the web, is only one guess of several.
        ("utf-8", '<meta charset="gb2312">'),
        ("utf-8", '<meta charset="unicode_escape">'),
    ],
)
def test_the_encoding_is_found(encoding: str, head: str) -> None:
    assert "雪" in _text(PAGE.format(head=head, more=MORE).encode(encoding))


def test_the_encoding_of_the_configuration_comes_first() -> None:
    page = PAGE.format(head='<meta charset="utf-8">', more=MORE).encode("big5")
    assert "雪" in _text(page, encoding="big5")


def test_an_encoding_unknown_to_the_web_is_one_of_the_configuration() -> None:
    assert "Größe" in _text("<p>Die Größe der Füße".encode("cp850"), encoding="cp850")


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("아침부터 눈이 내려서 마을로 가는 길이 모두 막혔습니다.", "euc_kr", "cp949"),
        ("Снег шёл всю ночь, и дорога в деревню была закрыта.", "cp1251", "cp1251"),
    ],
)
def test_a_page_that_declares_nothing_is_read_and_counted(
    text: str, encoding: str, found: str
) -> None:
    page = f"<html><body><main><p>{text}</p></main></body></html>".encode(encoding)
    batch, repaired = sorted(_read(page), key=lambda item: isinstance(item, Repaired))
    assert isinstance(batch, DocumentBatch)
    assert batch.texts.to_pylist() == [text]
    assert repaired == Repaired(f"decoded.{found}", 1)


def test_bytes_that_a_page_cannot_hold_are_refused_or_replaced_and_counted() -> None:
    page = PAGE.format(head="", more="<p>br\0ken</p>").encode().replace(b"\0", b"\xe4\xbd")
    (flaw,) = _read(page)
    assert isinstance(flaw, Flaw)
    assert flaw.reason == "bad_encoding"
    repaired, batch = _read(page, on_bad_text="repair")
    assert repaired == Repaired("replaced_bytes", 1)
    assert isinstance(batch, DocumentBatch)
    assert "br\ufffdken" in batch.texts[0].as_py()


def test_bad_bytes_beside_the_text_do_no_harm() -> None:
    page = PAGE.format(head="", more="").encode().replace(b"Home", b"H\xffme")
    assert "It was dark & cold; 雪 fell." in _text(page)


def test_markup_alone_is_an_empty_text() -> None:
    assert _text(b"<html><body><script>x</script></body></html>").strip() == ""
    assert _text(b"") == ""


def test_a_page_that_is_too_long_is_a_flaw() -> None:
    (flaw,) = _read(b"<p>" + b"x" * 100, max_document_bytes=99)
    assert isinstance(flaw, Flaw)
    assert (flaw.place, flaw.reason) == ("whole file", "too_long")


def test_a_real_page_is_read() -> None:
    if not VARIANTS.is_dir():
        pytest.skip("the folder format_variants is not beside the checkout")
    text = _text((VARIANTS / "page.html").read_bytes())
    assert "It is a truth universally acknowledged" in text
    assert "<p>" not in text


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "snow" + "</div>" * 100_000,
        "<DIV><article>" * 50_000 + "snow",
        "<b><i>" * 20_000 + "snow",
        "<table><tr><td>" * 20_000 + "snow",
        "<div><span>" * 99 + "<p>snow" * 10_000,
        "<" * 1_000_000 + "snow",
        "<!--" * 100_000 + "snow",
        "&" * 1_000_000 + "snow",
    ],
    ids=["div", "article", "style", "table", "paragraph", "less", "comment", "ampersand"],
)
@pytest.mark.timeout(20)
def test_deep_nesting_takes_no_time(page: str) -> None:
    assert len(_read(page.encode())) == 1


@pytest.mark.timeout(20)
def test_megabytes_of_noise_take_no_time() -> None:
    assert len(_read(random.Random(0).randbytes(8 << 20))) == 1


@given(
    st.binary(max_size=300)
    | st.text(alphabet="<>/=\"'& divpabrsctl!-\0\r\n\ud800").map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
@settings(max_examples=60)
@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_no_bytes_fail(extractor: str, data: bytes) -> None:
    pytest.importorskip(extractor)
    assert all(isinstance(item, Item) for item in _read(data, html_extractor=extractor))


def test_a_missing_package_is_a_sentence() -> None:
    code = """
import sys
sys.modules["resiliparse.parse.encoding"] = None  # which import takes for a missing module
from corpusmill.tasks.ingestion.readers.html import decode
from tests.readings import all_of
try:
    decode(b"<p>x", "utf-8")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("CorpusError HTML needs the package resiliparse")
    assert "pip install 'corpusmill[web]'" in done.stdout
