"""Documents as people have them, made of texts that are known."""

import base64
import quopri
from collections.abc import Callable, Sequence
from random import Random
from xml.sax.saxutils import escape

from tests.archived import zipped_always_alike

Write = Callable[[Random, Sequence[str]], bytes]


def _docx(random: Random, texts: Sequence[str]) -> bytes:
    (text,) = texts
    words = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    run = f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"
    relation = '<Relationship Type="x/officeDocument" Target="word/document.xml"/>'
    return zipped_always_alike(
        {
            "_rels/.rels": f"<Relationships>{relation}</Relationships>".encode(),
            "word/document.xml": f'<w:document xmlns:w="{words}">{run}</w:document>'.encode(),
        }
    )


def _odt(random: Random, texts: Sequence[str]) -> bytes:
    (text,) = texts
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    body = f"<o:body><o:text><o:p>{escape(text)}</o:p></o:text></o:body>"
    content = f'<o:document-content xmlns:o="{office}">{body}</o:document-content>'
    kind = b"application/vnd.oasis.opendocument.text"
    return zipped_always_alike({"mimetype": kind, "content.xml": content.encode()})


def _epub(random: Random, texts: Sequence[str]) -> bytes:
    (text,) = texts
    item = '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
    package = f'<package><manifest>{item}</manifest><itemref idref="a"/></package>'
    return zipped_always_alike(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": b'<container><rootfile full-path="p.opf"/></container>',
            "p.opf": package.encode(),
            "a.xhtml": f"<html><body><p>{escape(text)}</p></body></html>".encode(),
        }
    )


def _eml(random: Random, texts: Sequence[str]) -> bytes:
    (text,) = texts
    body = text.encode()
    coding = random.choice(("8bit", "base64", "quoted-printable"))
    if coding == "base64":
        body = base64.encodebytes(body)
    elif coding == "quoted-printable":
        body = quopri.encodestring(body)
    head = (
        f"From: a@b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {coding}"
    )
    return f"{head}\n\n".encode() + body + b"\n"


def _mbox(random: Random, texts: Sequence[str]) -> bytes:
    mark = b"From a@b Thu Jan  1 00:00:00 2015\n"
    return b"".join(mark + _eml(random, [text]) + b"\n" for text in texts)


WRITERS: dict[str, Write] = {
    "docx": _docx,
    "odt": _odt,
    "epub": _epub,
    "eml": _eml,
    "mbox": _mbox,
}
ZIPPED = ("docx", "odt", "epub")
