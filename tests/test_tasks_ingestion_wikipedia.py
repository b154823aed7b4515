"""Wikipedia: articles of a dump as plain text, page by page."""

import bz2
import io
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, Reading, SourceFile
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from corpusmill.tasks.ingestion.readers.wikipedia import read_wikipedia
from corpusmill.tasks.ingestion.readers.wikitext import plain_text
from tests.readings import all_of, texts_of

SAMPLE = (
    Path(__file__).resolve().parents[2]
    / "shared" / "data" / "wikipedia_xml_en" / "enwiki-sample.xml.bz2"
)  # fmt: skip
HEAD = '<mediawiki xml:lang="en"><siteinfo><sitename>W</sitename></siteinfo>\n'


def _page(title: str, wikitext: str, ns: int = 0, more: str = "") -> str:
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>1</id>{more}<revision>"
        f"<text>{escape(wikitext)}</text></revision></page>\n"
    )


def _dump(*pages: str, end: str = "</mediawiki>\n") -> bytes:
    return (HEAD + "".join(pages) + end).encode()


def _read(data: bytes, **fields: Any) -> list[Item]:
    file = SourceFile(
        "s", "x.xml", Path("/x.xml"), 0, "", 0, Format("wikipedia"), "text", "auto", "file"
    )
    return all_of(read_wikipedia(io.BytesIO(data), Reading(Fragment(file), CorpusConfig(**fields))))


def _texts(items: list[Item]) -> list[str]:
    return [
        text for item in items if isinstance(item, DocumentBatch) for text in item.texts.to_pylist()
    ]


def _flaws(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.place, item.reason) for item in items if isinstance(item, Flaw)]


@pytest.fixture(scope="module")
def sample() -> bytes:
    if not SAMPLE.is_file():
        pytest.skip("the folder wikipedia_xml_en is not beside the checkout")
    return bz2.decompress(SAMPLE.read_bytes())


# Dumps


def test_an_article_is_its_title_and_its_text() -> None:
    (batch,) = _read(_dump(_page("雪 & ice", "'''Snow''' is [[ice|frozen]] water.")))
    assert isinstance(batch, DocumentBatch)
    assert batch.texts.to_pylist() == ["雪 & ice\n\nSnow is frozen water."]
    assert batch.place(0) == "page 1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_dumps_in_utf_16_are_read(tmp_path: Path, encoding: str) -> None:
    pages = [_page("雪", "It was ''dark''; 雪 fell."), _page("Two", "It was light.")]
    (tmp_path / "x.xml").write_bytes(_dump(*pages).decode().encode(encoding))
    assert texts_of(tmp_path / "x.xml") == ["雪\n\nIt was dark; 雪 fell.", "Two\n\nIt was light."]


def test_redirects_and_other_namespaces_are_no_documents() -> None:
    items = _read(
        _dump(
            _page("A", "x", more='<redirect title="B" />'),
            _page("B", "#redirect [[C]]"),
            _page("Talk:C", "x", ns=1),
            _page("D", "kept"),
        )
    )
    assert _texts(items) == ["D\n\nkept"]
    assert not _flaws(items)
    assert [item.place(0) for item in items if isinstance(item, DocumentBatch)] == ["page 4"]


def test_a_page_that_only_shows_templates_is_an_empty_text() -> None:
    assert _texts(_read(_dump(_page("A", "{{stub}}")))) == [""]


def test_a_damaged_page_costs_no_other() -> None:
    bad = "<page><title>B</title><revision><text>&nbsp; <b></text></revision></page>"
    items = _read(_dump(_page("A", "a"), bad, _page("C", "c")))
    assert _texts(items) == ["A\n\na", "C\n\nc"]
    assert _flaws(items) == [("page 2", "damaged")]


def test_what_came_before_the_cut_is_kept(sample: bytes) -> None:
    whole = _texts(_read(sample))
    items = _read(sample[:3_000_000])
    assert 0 < len(_texts(items)) < len(whole)
    assert _texts(items) == whole[: len(_texts(items))]
    assert [reason for _, reason in _flaws(items)] == ["truncated"]


def test_a_cut_between_pages_is_noticed() -> None:
    assert _flaws(_read(_dump(_page("A", "a"), end=""))) == [("page 1", "truncated")]


def test_a_page_that_is_too_long_is_passed_over() -> None:
    long = _page("B", "x" * 4_000_000)
    items = _read(_dump(_page("A", "a"), long, _page("C", "c")), max_document_bytes=1000)
    assert _texts(items) == ["A\n\na", "C\n\nc"]
    assert _flaws(items) == [("page 2", "too_long")]


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE m SYSTEM "http://127.0.0.1:1/x.dtd">',
    ],
)
def test_declared_entities_are_refused(declaration: str) -> None:
    items = _read(declaration.encode() + _dump(_page("A", "a").replace(">a<", ">&a;<")))
    assert not _texts(items)
    assert _flaws(items) == [("whole file", "bomb")]


@pytest.mark.parametrize("data", [b"", b"<html><p>x</p></html>", b"\xff\xfe<\0p\0a\0g\0e\0>\0"])
def test_what_is_no_dump_is_a_flaw(data: bytes) -> None:
    assert _flaws(_read(data)) == [("whole file", "damaged")]


def test_a_real_dump_is_read(sample: bytes) -> None:
    items = _read(sample)
    texts = _texts(items)
    assert len(texts) == 106
    assert not _flaws(items)
    assert texts[0].startswith("Anarchism\n\nAnarchism is a political philosophy that advocates")
    left = Counter(re.findall(r"\[\[|\]\]|\{\{|\}\}|''|<ref|\[http|Category:", "".join(texts)))
    assert sum(left.values()) == 0


@given(st.data())
@settings(max_examples=60)
def test_no_bytes_fail(data: st.DataObject) -> None:
    dump = bytearray(_dump(_page("A", "a [[b|c]] {{d}}"), _page("B", "<ref>e</ref> f")))
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(dump)))
        dump[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    assert all(isinstance(item, Item) for item in _read(bytes(dump)))


# Wikitext


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''A''' is ''b''.", "A is b."),
        ("a [[b]] [[c|d]] [[:Category:e]]s", "a b d Category:es"),
        ("a[[File:x.jpg|thumb|b [[c]] d]] e[[Category:F]]", "a e"),
        ("甲[[文件:x.jpg|缩略图]]乙[[分类:丙]]", "甲乙"),
        ("a [http://x.y b c] [http://x.y]d", "a b c d"),
        ("a<ref name=x>b {{c}}</ref> d<ref name=x/> e", "a d e"),
        ("a {{b|{{c}}|d}} e", "a e"),
        ("a\n{| class=x\n! b\n|-\n| {{c}} || d\n|}\ne", "a\ne"),
        ("== A ==\n=== B ===\ntext", "A\nB\ntext"),
        ("* a\n** b\n# c\n:d", "a\nb\nc\nd"),
        ("a<!-- b -->c &amp; d&nbsp;e<br/>f", "ac & d e\nf"),
        ("-{zh-hans:软件; zh-hant:軟體;}-和-{后}-", "软件和后"),
        ("-{H|zh-cn:甲;zh-tw:乙}-丙", "丙"),
        ("北京（{{lang|en|Beijing}}）是[[首都]]。", "北京是首都。"),
        ("__NOTOC__a\n\n\n\nb", "a\n\nb"),
        ("a {{b [[c]] d", "a b c d"),
        ("a [[b c", "a b c"),
        ("a }} b ]] c", "a  b  c"),
        ("[[fr:Neige]]", ""),
    ],
)
def test_markup_is_taken_out(wikitext: str, text: str) -> None:
    assert re.sub(" +", " ", plain_text(wikitext)) == re.sub(" +", " ", text)


@pytest.mark.parametrize(
    "part",
    [
        *("[[", "{{", "<ref>", "{|\n", "''", "<!--", "-{", "[[a|", "{{a|", "<div ", "}}", "|}\n"),
        *("[http://a ", "( ", "&#", "=\n", "{{a}}", "<b a='", "\n:*", "{|\n|-\n|a\n"),
    ],
)
@pytest.mark.timeout(20)
def test_brackets_that_are_never_closed_take_no_time(part: str) -> None:
    start = time.process_time()
    plain_text(part * (400_000 // len(part)))
    assert time.process_time() - start < 5


def test_the_words_are_those_that_mwparserfromhell_finds_but_for_captions_and_tables(
    sample: bytes,
) -> None:
    parser = pytest.importorskip("mwparserfromhell")
    texts = re.findall(rb'<text xml:space="preserve">([^#<][^<]{5000,60000})</text>', sample)
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for data in texts[:12]:
        wikitext = re.sub(r"<ref[^<>/]*>.*?</ref>", "", _unescaped(data.decode()), flags=re.DOTALL)
        ours.update(re.findall(r"\w+", plain_text(wikitext)))
        theirs.update(re.findall(r"\w+", parser.parse(wikitext).strip_code()))
    assert (ours & theirs).total() > 0.999 * ours.total()
    assert (ours & theirs).total() > 0.95 * theirs.total()


def _unescaped(text: str) -> str:
    for name, character in (("lt", "<"), ("gt", ">"), ("quot", '"'), ("amp", "&")):
        text = text.replace(f"&{name};", character)
    return text
