"""PDF files: the text of their pages, by PDFium.

What a tagged file marks as an artifact - page numbers, running heads - is taken out (ISO 32000-1,
14.8.2.2). A page with pictures and no text is counted as scanned.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
from pypdfium2 import raw

from corpusmill.tasks.ingestion.extraction.found import Extract, Text, Unreadable

# PDFium writes one of these where a hyphen ends a line within a word.
_HYPHEN = re.compile("[\ufffe\x02]\\s*")
_NAMED = 5
# The end mark lies within so many bytes before the end (ISO 32000-1, annex H, note 18).
_END = 1 << 10


def read_pdf(path: Path) -> Iterator[Extract]:
    """The text of a file, how many of its pages are pictures of text, and whether its end is there.

    Raises:
        ValueError: it is no PDF, or locked by a password.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise ValueError(str(error)) from error
    with document:
        texts, scanned = list[str](), list[int]()
        for number in range(len(document)):
            page = document[number]
            text = _text(page)
            if text:
                texts.append(text)
            elif any(each.type == raw.FPDF_PAGEOBJ_IMAGE for each in page.get_objects()):
                scanned.append(number + 1)
            page.close()
        count = len(document)
    if scanned:
        some = ", ".join(map(str, scanned[:_NAMED])) + (", …" if len(scanned) > _NAMED else "")
        yield Unreadable(
            f"page {some}",
            "scanned",
            f"found {len(scanned)} of {count} pages that are pictures, expected text",
            "have their text recognised (OCR)",
            0 if texts else 1,
            0 if texts else path.stat().st_size,
        )
    if b"%%EOF" not in path.read_bytes()[-_END:]:
        # PDFium gives the pages that it finds.
        finding, remedy = "found no end of the file, expected %%EOF", "fetch it again"
        yield Unreadable("after the last page", "truncated", finding, remedy, 1, None)
    if texts or not scanned:
        yield Text(0, "\n\n".join(texts))


def _text(page: Any) -> str:
    for item in list(page.get_objects(max_depth=1)):
        if _is_artifact(item):
            page.remove_obj(item)
    text: str = page.get_textpage().get_text_range()
    lines = (line.rstrip() for line in _HYPHEN.sub("", text).splitlines())
    return "\n".join(lines).strip()


def _is_artifact(item: Any) -> bool:
    for index in range(max(0, raw.FPDFPageObj_CountMarks(item.raw))):
        mark = raw.FPDFPageObj_GetMark(item.raw, index)
        size = raw.c_ulong()
        buffer = (raw.FPDF_WCHAR * 32)()
        if raw.FPDFPageObjMark_GetName(mark, buffer, 64, size):
            name = bytes(buffer)[: max(0, size.value - 2)].decode("utf-16-le", "replace")
            if name == "Artifact":
                return True
    return False
