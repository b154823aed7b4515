"""Documents as people have them: .docx, .pdf, .odt, .epub, .eml and .mbox."""

import gzip
import importlib.util
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

import pytest

from storage.errors import CorpusError
from tasks.ingestion.config import CorpusConfig
from tasks.ingestion.extraction.found import Loss, Passed, Text
from tasks.ingestion.extraction.mail import read_mailbox, read_message
from tasks.ingestion.extraction.markup import parse_xml
from tasks.ingestion.extraction.open_document import read_open_document
from tasks.ingestion.extraction.pages import read_epub
from tasks.ingestion.extraction.pdf import read_pdf
from tasks.ingestion.extraction.word import read_word
from tasks.ingestion.readers import documents, formats
from tasks.ingestion.sources import resolve
from tests.corpora import build, counts_of
from tests.readings import counts_of as counted
from tests.readings import flaw_of, flaws_in, items_of, texts_in, texts_of

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r" Target="word/document.xml" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
WORD = """<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Title</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">One  </w:t><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>
<w:ins><w:r><w:t> put in</w:t></w:r></w:ins><w:del><w:r><w:delText> out</w:delText></w:r></w:del>
<w:r><w:footnoteReference w:id="2"/><w:t>.</w:t></w:r></w:p>
<w:sdt><w:sdtContent><w:p><w:hyperlink><w:r><w:t>a link</w:t></w:r></w:hyperlink></w:p>
</w:sdtContent></w:sdt>
<w:p><w:fldSimple w:instr=" PAGE "><w:r><w:t>7</w:t></w:r></w:fldSimple></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p/></w:tc><w:tc><w:p><w:r><w:t>d</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:t>结束</w:t></w:r></w:p>"""
_ODT = (
    '<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:b="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><o:body><o:text>'
    "<t:tracked-changes><t:p>taken out</t:p></t:tracked-changes><t:h>Title</t:h>"
    "<t:p>One <t:s t:c='2'/><t:ruby><t:ruby-base>two</t:ruby-base><t:ruby-text>2</t:ruby-text>"
    "</t:ruby><t:note><t:note-citation>1</t:note-citation><t:note-body>"
    "<t:p>a note</t:p></t:note-body></t:note><t:line-break/>three<t:page-number>7</t:page-number>"
    "</t:p><t:list><t:list-item><t:p>item</t:p></t:list-item></t:list><b:table><b:table-row>"
    "<b:table-cell><t:p>a</t:p></b:table-cell><b:table-cell><t:p>b</t:p></b:table-cell>"
    "</b:table-row></b:table><t:p>结束</t:p></o:text></o:body></o:document-content>"
)
_CHAPTER = (
    '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
    'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>t</title></head><body><h1>{title}</h1>'
    '<p>caf\u00e9&nbsp;one<span epub:type="pagebreak" title="7">7</span>\n two<br/>three</p>'
    "<table><tr><td>a</td><td>b</td></tr></table></body></html>"
)


def _zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def _docx(path: Path, body: str = WORD) -> Path:
    note = f'<w:footnotes xmlns:w="{_W}"><w:footnote w:id="2"><w:p><w:r><w:t>a note</w:t></w:r>'
    return _zipped(
        path,
        {
            "_rels/.rels": _RELATIONS,
            "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>',
            "word/footnotes.xml": f"{note}</w:p></w:footnote></w:footnotes>",
            "word/header1.xml": f'<w:hdr xmlns:w="{_W}"><w:p><w:t>running head</w:t></w:p></w:hdr>',
        },
    )


def _epub(path: Path, one: bytes | None = None) -> Path:
    items = "".join(
        f'<item id="{name}" href="{name}%20x.xhtml" media-type="application/xhtml+xml" {more}/>'
        for name, more in (("two", ""), ("one", ""), ("toc", 'properties="nav"'))
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in ("toc", "one", "two"))
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    rootfile = '<container><rootfiles><rootfile full-path="book/p.opf"/></rootfiles></container>'
    pages = {f"book/{name} x.xhtml": _CHAPTER.format(title=name) for name in ("one", "two", "toc")}
    members: dict[str, str | bytes] = {
        "META-INF/container.xml": rootfile,
        "book/p.opf": package,
        **pages,
    }
    if one is not None:
        members["book/one x.xhtml"] = one
    return _zipped(path, members)


def _pdf(path: Path, *pages: str) -> Path:
    """Pages with these contents, each with the font F and the picture I."""
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray "
        "/BitsPerComponent 8 /Length 1 >>\nstream\nx\nendstream",
    ]
    for number, contents in enumerate(pages):
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F 3 0 R "
            f">> /XObject << /I 4 0 R >> >> /Contents {6 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(contents)} >>\nstream\n{contents}\nendstream")
    data, places = "%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    path.write_text(f"{data}xref\n0 {size}\n0000000000 65535 f \n{table}{end}")
    return path


def _line(text: str, height: int) -> str:
    return f"BT /F 12 Tf 50 {height} Td ({text}) Tj ET\n"


PICTURE = "q 500 0 0 700 50 50 cm /I Do Q"
TAGGED = (
    "/Artifact << /Type /Pagination >> BDC\n" + _line("A running head", 780) + "EMC\n"
    "/P BMC\n" + _line("First line", 700) + _line("second line", 680) + "EMC\n"
    "/Artifact BMC\n" + _line("7", 20) + "EMC\n"
)


def _message(subject: str = "Title") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", subject
    message.set_content("One café\n\ntwo\n", charset="latin-1")
    message.add_alternative("<p>One in HTML</p>", subtype="html")
    message.add_attachment(b"x", maintype="image", subtype="png", filename="x.png")
    return message


def test_a_word_document_is_read_in_its_order(tmp_path: Path) -> None:
    (found,) = read_word(_docx(tmp_path / "x.docx"))
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
    assert list(read_word(_docx(tmp_path / "x.docx", f"<w:p>{body}</w:p>"))) == [Text(0, text)]


def test_what_of_a_word_document_cannot_be_read_is_counted(tmp_path: Path) -> None:
    body = '<w:altChunk/><w:p><w:r><w:sym w:font="Wingdings" w:char="F0E0"/></w:r></w:p>'
    loss, passed, _ = read_word(_docx(tmp_path / "x.docx", body))
    assert isinstance(loss, Loss) and (loss.reason, loss.documents) == ("not_read", 0)
    assert passed == Passed("symbols_not_read", 1)


def test_the_text_of_entities_is_read_and_that_of_other_files_is_not() -> None:
    declared = b'<!DOCTYPE x [<!ENTITY n "text">]><x>a &n;</x>'
    assert parse_xml(declared).text == "a text"
    with pytest.raises(ValueError, match="'n' not defined"):
        parse_xml(declared.replace(b'"text"', b'SYSTEM "file:///etc/passwd"'))


def test_an_open_document_is_read_in_its_order(tmp_path: Path) -> None:
    (found,) = read_open_document(_zipped(tmp_path / "x.odt", {"content.xml": _ODT}))
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
    (found,) = read_epub(_epub(tmp_path / "x.epub"))
    page = ["café\u00a0one two\nthree", "a\tb"]
    assert isinstance(found, Text) and isinstance(found.text, str)
    assert found.text.split("\n\n") == ["one", *page, "two", *page]


def test_running_heads_and_page_numbers_of_a_tagged_pdf_are_left_out(tmp_path: Path) -> None:
    assert list(read_pdf(_pdf(tmp_path / "x.pdf", TAGGED, _line("More", 700)))) == [
        Text(0, "First line\nsecond line\n\nMore")
    ]


def test_scanned_pages_are_counted_as_such(tmp_path: Path) -> None:
    path = _pdf(tmp_path / "x.pdf", _line("Text", 700), PICTURE, "", PICTURE)
    loss, text = read_pdf(path)
    assert text == Text(0, "Text")
    assert isinstance(loss, Loss)
    assert (loss.place, loss.reason, loss.documents, loss.bytes) == ("page 2, 4", "scanned", 0, 0)
    flaw = flaw_of(_pdf(tmp_path / "y.pdf", PICTURE))
    assert (flaw.reason, flaw.documents) == ("scanned", 1)
    assert flaw.bytes == (tmp_path / "y.pdf").stat().st_size


def test_a_pdf_whose_end_is_missing_is_no_whole_one(tmp_path: Path) -> None:
    path = _pdf(tmp_path / "x.pdf", _line("One", 700), _line("Two", 700))
    path.write_bytes(path.read_bytes().partition(b"startxref")[0])
    flaw, text = read_pdf(path)
    assert isinstance(flaw, Loss) and (flaw.reason, flaw.bytes) == ("truncated", None)
    assert text == Text(0, "One\n\nTwo")


def test_a_message_is_its_subject_and_its_plain_body(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(bytes(_message()))
    assert list(read_message(tmp_path / "x.eml")) == [
        Passed("attachments_not_read", 1),
        Text(0, "Title\n\nOne café\n\ntwo"),
    ]
    (tmp_path / "x.eml").write_bytes(
        b"Content-Type: text/html; charset=utf-8\n\n<p>One <b>in</b> HTML</p><p>two"
    )
    assert list(read_message(tmp_path / "x.eml")) == [Text(0, "One in HTML\n\ntwo")]


def test_a_message_in_another_encoding_than_it_says_is_not_changed(tmp_path: Path) -> None:
    body = "文章内容在这里，大家都知道这一点。".encode("gb18030") * 9
    (tmp_path / "x.eml").write_bytes(b"Content-Type: text/plain; charset=utf-8\n\n" + body)
    assert texts_of(tmp_path / "x.eml") == [body.decode("gb18030")]


def test_a_mailbox_is_a_document_a_message(tmp_path: Path) -> None:
    box = b"".join(b"From a@b Thu\n" + bytes(_message(f"m{n}")) + b"\n" for n in range(3))
    (tmp_path / "x.mbox").write_bytes(box)
    texts = [found.text for found in read_mailbox(tmp_path / "x.mbox") if isinstance(found, Text)]
    assert texts == [f"m{n}\n\nOne café\n\ntwo" for n in range(3)]
    (tmp_path / "x.mbox.gz").write_bytes(gzip.compress(box))
    assert counted(tmp_path / "x.mbox.gz") == {"text": 3, "attachments_not_read": 3}


def test_a_sentence_that_begins_with_from_begins_no_message(tmp_path: Path) -> None:
    path = tmp_path / "x.mbox"
    dated = b"From a@b Thu Jan  1 00:00:00 2015\n"
    path.write_bytes(
        b"a head\n\n" + dated + b"Subject: s\n\nDear all,\n\nFrom here on it is: other.\nend\n\n"
        b"From - Thu\nSubject: t\n\n>From the start\n>>From x\nno blank line\n" + dated + b"\nu\n"
    )
    loss, *texts = sorted(read_mailbox(path), key=lambda found: isinstance(found, Text))
    assert isinstance(loss, Loss) and (loss.reason, loss.bytes) == ("left_over", len("a head\n\n"))
    assert texts == [
        Text(0, "s\n\nDear all,\n\nFrom here on it is: other.\nend"),
        Text(1, "t\n\nFrom the start\n>From x\nno blank line"),
        Text(2, "u"),
    ]


_PARTS = (
    b"Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--B\nContent-Type: image/png\n\nx\n"
)
_HAN = "文章内容在这里，大家都知道这一点。" * 9
_BASE64 = b"Content-Transfer-Encoding: base64\n\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"\nA: b\n\none", "A: b\n\none", id="no headers"),
        pytest.param(b"\xef\xbb\xbfSubject: s\n\none", "s\n\none", id="a byte order mark"),
        pytest.param(_PARTS + b"--B\n\ntwo\n--B--\n", "one\n\ntwo", id="around a picture"),
        pytest.param(_PARTS, "one", id="an attachment is cut off"),
        pytest.param(b"Content-Type: text/plain; charset=unknown-8bit\n\none", "one", id="unknown"),
        pytest.param(
            b"Content-Type: text/html; charset=utf-8\n\n<p>" + _HAN.encode("gbk"),
            _HAN,
            id="a page in another encoding",
        ),
    ],
)
def test_what_stands_in_a_message_is_read(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "x.eml").write_bytes(data)
    assert texts_of(tmp_path / "x.eml") == [text]


@pytest.mark.parametrize(
    "data", [_PARTS + b"--B\n\ntw", _BASE64 + b"SGVsbG8gd29y" + b"bG", _BASE64 + b"SGVs\x80bG8g"]
)
def test_a_message_that_is_cut_off_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.eml").write_bytes(data)
    (loss,) = read_message(tmp_path / "x.eml")
    assert isinstance(loss, Loss)
    assert (loss.reason, loss.documents, loss.bytes) == ("truncated", 1, len(data))


def test_a_chapter_is_read_as_xml_and_in_its_own_encoding(tmp_path: Path) -> None:
    one = '<head><meta charset="gb2312"/></head><p>文<![CDATA[a < b]]></p>'.encode("gb2312")
    (found,) = read_epub(_epub(tmp_path / "x.epub", one))
    assert isinstance(found, Text) and str(found.text).startswith("文a < b\n\ntwo")


def test_a_chapter_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    path = _epub(tmp_path / "x.epub")
    with zipfile.ZipFile(path) as archive:
        lost = archive.getinfo("book/one x.xhtml")
    data = bytearray(path.read_bytes())
    data[lost.header_offset + 30 + len(lost.filename) + 9] ^= 0xFF
    path.write_bytes(data)
    loss, text = read_epub(path)
    assert isinstance(loss, Loss) and isinstance(text, Text)
    assert (loss.place, loss.documents, loss.bytes) == (lost.filename, 0, lost.compress_size)
    assert str(text.text).startswith("two\n\n")


def test_entities_that_a_chapter_declares_are_read(tmp_path: Path) -> None:
    one = b"<!DOCTYPE html [<!ENTITY name 'Anna'>]><html><body><p>&name; &amp; Bo</p></body></html>"
    (found,) = read_epub(_epub(tmp_path / "x.epub", one))
    assert isinstance(found, Text) and str(found.text).startswith("Anna & Bo\n\ntwo")


def test_a_page_whose_encoding_is_guessed_is_counted(tmp_path: Path) -> None:
    page = b"Content-Type: text/html\n\n<p>" + _HAN.encode("gbk")
    (tmp_path / "x.eml").write_bytes(page)
    assert list(read_message(tmp_path / "x.eml")) == [Passed("decoded.gb18030", 1), Text(0, _HAN)]


def test_documents_are_read_in_archives_and_by_their_first_bytes(tmp_path: Path) -> None:
    word, pdf = _docx(tmp_path / "x.docx"), _pdf(tmp_path / "x.pdf", _line("Text", 700))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(word, "a.docx")
        archive.write(pdf, "misnamed.txt")
    first, second = texts_of(tmp_path / "x.zip")
    assert first.startswith("Title\n\nOne") and second == "Text"


@pytest.mark.parametrize("name", ["x.zip", "x.txt", "x.odt"])
def test_a_document_that_is_an_archive_is_no_archive_of_documents(
    tmp_path: Path, name: str
) -> None:
    (text,) = texts_of(_docx(tmp_path / name))
    assert text.startswith("Title\n\nOne")
    open_document = "application/vnd.oasis.opendocument.text"
    members = {"mimetype": open_document, "content.xml": _ODT, "styles.xml": "<x/>"}
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    (text,) = texts_of(tmp_path / name)
    assert text.startswith("Title\n\nOne two")


def test_a_folder_of_the_same_name_hides_no_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "__init__.py").write_text("raise ImportError('the wrong storage')")
    monkeypatch.chdir(tmp_path)
    assert texts_of(_pdf(tmp_path / "x.pdf", _line("Text", 700))) == ["Text"]


@pytest.mark.parametrize("kind", sorted(formats.DOCUMENTS.values()))
def test_what_is_no_such_document_is_a_flaw(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    data = b"nonsense\n" * 9
    if kind == "eml":
        data = b"Content-Type: multipart/mixed; boundary=B\n\nx"
    path.write_bytes(data)
    flaw = flaw_of(path)
    assert (flaw.reason, flaw.bytes) == ("damaged", len(data))


def test_a_file_that_takes_all_memory_is_a_flaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MEMORY_BYTES", 1 << 28)
    path = _zipped(tmp_path / "x.odt", {"content.xml": " " * (1 << 28)})
    flaw = flaw_of(path)
    assert flaw.reason == "damaged" and "memory" in flaw.finding
    assert flaw.bytes == path.stat().st_size


def test_a_file_that_takes_all_time_is_a_flaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "SECONDS", 1)
    part = "<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 1_000_000
    flaw = flaw_of(_docx(tmp_path / "x.docx", part))
    assert flaw.reason == "damaged" and "ended with code -9" in flaw.finding


@pytest.mark.parametrize(("before", "after"), [("docx", ""), ("words", ""), ("", "docx")])
def test_what_lies_beside_a_document_is_counted(tmp_path: Path, before: str, after: str) -> None:
    one = _docx(tmp_path / "one.docx").read_bytes()
    more = {"docx": one, "words": b"some bytes", "": b""}
    (tmp_path / "x.docx").write_bytes(more[before] + one + more[after])
    items = items_of(tmp_path / "x.docx")
    (text,) = texts_in(items)
    assert text.startswith("Title\n\nOne")
    assert sum(flaw.bytes or 0 for flaw in flaws_in(items)) == len(more[before] + more[after])


def test_without_its_package_a_document_is_set_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pypdfium2" else find(name)
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.txt").write_text("a text")
    _pdf(tmp_path / "lib" / "b.pdf", _line("Text", 700))
    (source,) = resolve(CorpusConfig(sources=(str(tmp_path / "lib"),)), tmp_path)
    assert [file.name for file in source.apart] == ["lib/b.pdf"]
    with pytest.raises(CorpusError, match=r"pip install 'corpusmill\[documents\]'"):
        resolve(CorpusConfig(sources=(str(tmp_path / "lib" / "b.pdf"),)), tmp_path)


def test_real_documents_are_kept_whole(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    _docx(tmp_path / "lib" / "a.docx")
    _epub(tmp_path / "lib" / "b.epub")
    counts = counts_of(build(tmp_path, tmp_path / "lib"))
    assert counts["documents"] == {"in": 2, "kept": 2, "dropped": {}}
