"""Documents for tests: .docx, .odt, .epub, .pdf and messages, with known texts."""

import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

WORD_XML = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = (
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
ODT = (
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
CHAPTER = (
    '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
    'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>t</title></head><body><h1>{title}</h1>'
    '<p>caf\u00e9&nbsp;one<span epub:type="pagebreak" title="7">7</span>\n two<br/>three</p>'
    "<table><tr><td>a</td><td>b</td></tr></table></body></html>"
)


def write_zip(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def write_docx(path: Path, body: str = WORD) -> Path:
    words = f'xmlns:w="{WORD_XML}"'
    note = f'<w:footnotes {words}><w:footnote w:id="2"><w:p><w:r><w:t>a note</w:t></w:r>'
    return write_zip(
        path,
        {
            "_rels/.rels": RELATIONS,
            "word/document.xml": f"<w:document {words}><w:body>{body}</w:body></w:document>",
            "word/footnotes.xml": f"{note}</w:p></w:footnote></w:footnotes>",
            "word/header1.xml": f"<w:hdr {words}><w:p><w:t>running head</w:t></w:p></w:hdr>",
        },
    )


def write_epub(path: Path, one: bytes | None = None) -> Path:
    items = "".join(
        f'<item id="{name}" href="{name}%20x.xhtml" media-type="application/xhtml+xml" {more}/>'
        for name, more in (("two", ""), ("one", ""), ("toc", 'properties="nav"'))
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in ("toc", "one", "two"))
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    rootfile = '<container><rootfiles><rootfile full-path="book/p.opf"/></rootfiles></container>'
    pages = {f"book/{name} x.xhtml": CHAPTER.format(title=name) for name in ("one", "two", "toc")}
    members: dict[str, str | bytes] = {
        "META-INF/container.xml": rootfile,
        "book/p.opf": package,
        **pages,
    }
    if one is not None:
        members["book/one x.xhtml"] = one
    return write_zip(path, members)


def write_pdf(path: Path, *pages: str) -> Path:
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


def pdf_line(text: str, height: int) -> str:
    return f"BT /F 12 Tf 50 {height} Td ({text}) Tj ET\n"


PICTURE = "q 500 0 0 700 50 50 cm /I Do Q"
TAGGED = (
    "/Artifact << /Type /Pagination >> BDC\n" + pdf_line("A running head", 780) + "EMC\n"
    "/P BMC\n" + pdf_line("First line", 700) + pdf_line("second line", 680) + "EMC\n"
    "/Artifact BMC\n" + pdf_line("7", 20) + "EMC\n"
)


def make_message(subject: str = "Title") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", subject
    message.set_content("One café\n\ntwo\n", charset="latin-1")
    message.add_alternative("<p>One in HTML</p>", subtype="html")
    message.add_attachment(b"x", maintype="image", subtype="png", filename="x.png")
    return message
