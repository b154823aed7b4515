"""Texts out of documents as people have them: .docx, .odt, .epub and .pdf."""

import zipfile
from pathlib import Path

import pytest

from corpusmill.tasks.ingestion.extraction.found import Counted, Text, Unreadable
from corpusmill.tasks.ingestion.extraction.markup import parse_xml
from corpusmill.tasks.ingestion.extraction.open_document import read_open_document
from corpusmill.tasks.ingestion.extraction.pages import read_epub
from corpusmill.tasks.ingestion.extraction.pdf import read_pdf
from corpusmill.tasks.ingestion.extraction.word import read_word
from tests.made_documents import (
    ODT,
    PICTURE,
    TAGGED,
    pdf_line,
    write_docx,
    write_epub,
    write_pdf,
    write_zip,
)
from tests.readings import flaw_of


def test_a_word_document_is_read_in_its_order(tmp_path: Path) -> None:
    (found,) = read_word(write_docx(tmp_path / "x.docx"))
    assert isinstance(found, Text) and isinstance(found.text, str)
    assert found.text.split("\n\n") == [
        "Title",
        "One  \ttwo\nthree put in.",
        "a note",
        "a link",
        "a b\tc\n\td",
        "结束",
    ]


def _run(*elements: str) -> str:
    return "".join(f"<w:r>{each}</w:r>" for each in elements)


def _words(text: str) -> str:
    return f"<w:t>{text}</w:t>"


def _mark(kind: str) -> str:
    return f'<w:fldChar w:fldCharType="{kind}"/>'


def _page(*before: str) -> str:
    instruction = "<w:instrText> page \\* MERGEFORMAT</w:instrText>"
    return _run(_mark("begin"), *before, instruction, _mark("separate"), _words("7"), _mark("end"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(_run(_words("co"), "<w:noBreakHyphen/>", _words("op")), "co\u2011op", id="-"),
        pytest.param(_run(_words("a "), '<w:sym w:font="x" w:char="2192"/>'), "a →", id="sym"),
        pytest.param(_run(_words("a"), "<w:ptab/>", _words("b")), "a\tb", id="ptab"),
        pytest.param(_run(_words("on ")) + _page(), "on", id="the number of a page"),
        pytest.param(
            _run(_mark("begin"), "<w:instrText> IF </w:instrText>")
            + _page()
            + _run(_mark("separate"), _words("result"), _mark("end")),
            "result",
            id="a field in an instruction",
        ),
        pytest.param(
            _run(_mark("begin"), "<w:instrText>PAGE</w:instrText>", _mark("separate"))
            + _run(_words("without an end")),
            "without an end",
            id="a field without an end",
        ),
        pytest.param(
            f"<w:ruby><w:rt>{_run(_words('kan'))}</w:rt><w:rubyBase>{_run(_words('漢'))}"
            "</w:rubyBase></w:ruby>",
            "漢",
            id="ruby",
        ),
        pytest.param(
            "<w:AlternateContent><w:Choice/><w:Fallback><w:t>in the fallback</w:t></w:Fallback>"
            "</w:AlternateContent>",
            "in the fallback",
            id="only in the fallback",
        ),
        pytest.param(
            "<w:AlternateContent><w:Choice><w:t>once</w:t></w:Choice><w:Fallback><w:t>once</w:t>"
            "</w:Fallback></w:AlternateContent>",
            "once",
            id="in both forms",
        ),
    ],
)
def test_what_a_word_document_says_without_letters_is_read(
    tmp_path: Path, body: str, text: str
) -> None:
    assert list(read_word(write_docx(tmp_path / "x.docx", f"<w:p>{body}</w:p>"))) == [Text(0, text)]


def test_what_of_a_word_document_cannot_be_read_is_counted(tmp_path: Path) -> None:
    body = '<w:altChunk/><w:p><w:r><w:sym w:font="Wingdings" w:char="F0E0"/></w:r></w:p>'
    loss, passed, _ = read_word(write_docx(tmp_path / "x.docx", body))
    assert isinstance(loss, Unreadable) and (loss.reason, loss.documents) == ("not_read", 0)
    assert passed == Counted("symbols_not_read", 1)


def test_the_text_of_entities_is_read_and_that_of_other_files_is_not() -> None:
    declared = b'<!DOCTYPE x [<!ENTITY n "text">]><x>a &n;</x>'
    assert parse_xml(declared).text == "a text"
    with pytest.raises(ValueError, match="'n' not defined"):
        parse_xml(declared.replace(b'"text"', b'SYSTEM "file:///etc/passwd"'))


def test_an_open_document_is_read_in_its_order(tmp_path: Path) -> None:
    (found,) = read_open_document(write_zip(tmp_path / "x.odt", {"content.xml": ODT}))
    assert isinstance(found, Text) and isinstance(found.text, str)
    assert found.text.split("\n\n") == [
        "Title",
        "One two\nthree",
        "a note",
        "item",
        "a\tb",
        "结束",
    ]


def test_a_book_is_read_as_its_spine_has_it(tmp_path: Path) -> None:
    (found,) = read_epub(write_epub(tmp_path / "x.epub"))
    page = ["café\u00a0one two\nthree", "a\tb"]
    assert isinstance(found, Text) and isinstance(found.text, str)
    assert found.text.split("\n\n") == ["one", *page, "two", *page]


def test_running_heads_and_page_numbers_of_a_tagged_pdf_are_left_out(tmp_path: Path) -> None:
    assert list(read_pdf(write_pdf(tmp_path / "x.pdf", TAGGED, pdf_line("More", 700)))) == [
        Text(0, "First line\nsecond line\n\nMore")
    ]


def test_scanned_pages_are_counted_as_such(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "x.pdf", pdf_line("Text", 700), PICTURE, "", PICTURE)
    loss, text = read_pdf(path)
    assert text == Text(0, "Text")
    assert isinstance(loss, Unreadable)
    assert (loss.place, loss.reason, loss.documents, loss.bytes) == ("page 2, 4", "scanned", 0, 0)
    flaw = flaw_of(write_pdf(tmp_path / "y.pdf", PICTURE))
    assert (flaw.reason, flaw.documents) == ("scanned", 1)
    assert flaw.bytes == (tmp_path / "y.pdf").stat().st_size


def test_a_pdf_whose_end_is_missing_is_no_whole_one(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "x.pdf", pdf_line("One", 700), pdf_line("Two", 700))
    path.write_bytes(path.read_bytes().partition(b"startxref")[0])
    flaw, text = read_pdf(path)
    assert isinstance(flaw, Unreadable) and (flaw.reason, flaw.bytes) == ("truncated", None)
    assert text == Text(0, "One\n\nTwo")


def test_a_chapter_is_read_as_xml_and_in_its_own_encoding(tmp_path: Path) -> None:
    one = '<head><meta charset="gb2312"/></head><p>文<![CDATA[a < b]]></p>'.encode("gb2312")
    (found,) = read_epub(write_epub(tmp_path / "x.epub", one))
    assert isinstance(found, Text) and str(found.text).startswith("文a < b\n\ntwo")


def test_a_chapter_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    path = write_epub(tmp_path / "x.epub")
    with zipfile.ZipFile(path) as archive:
        lost = archive.getinfo("book/one x.xhtml")
    data = bytearray(path.read_bytes())
    data[lost.header_offset + 30 + len(lost.filename) + 9] ^= 0xFF
    path.write_bytes(data)
    loss, text = read_epub(path)
    assert isinstance(loss, Unreadable) and isinstance(text, Text)
    assert (loss.place, loss.documents, loss.bytes) == (lost.filename, 0, lost.compress_size)
    assert str(text.text).startswith("two\n\n")


def test_entities_that_a_chapter_declares_are_read(tmp_path: Path) -> None:
    one = b"<!DOCTYPE html [<!ENTITY name 'Anna'>]><html><body><p>&name; &amp; Bo</p></body></html>"
    (found,) = read_epub(write_epub(tmp_path / "x.epub", one))
    assert isinstance(found, Text) and str(found.text).startswith("Anna & Bo\n\ntwo")
