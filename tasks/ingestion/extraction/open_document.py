"""OpenDocument texts, .odt (ISO/IEC 26300): the body, with notes after their paragraphs.

Headers and footers are styles and are not read; nor are page numbers, comments, what was
deleted, and what is written above other words (ruby).
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from corpusmill.tasks.ingestion.extraction.found import Extract, Text
from corpusmill.tasks.ingestion.extraction.markup import Markup, parse_xml, read_member, text_of

_MARKUP = Markup(
    blocks=frozenset({"p", "h", "list", "list-item", "section", "text-box", "note-body"}),
    tables=frozenset({"table"}),
    rows=frozenset({"table-row"}),
    cells=frozenset({"table-cell"}),
    skipped=frozenset(
        {
            "annotation",
            "annotation-end",
            "forms",
            "index-source",
            "note-citation",
            "page-count",
            "page-number",
            "ruby-text",
            "tracked-changes",
        }
    ),
    breaks=frozenset({"line-break"}),
    tabs=frozenset({"tab", "s"}),
    notes=frozenset({"note"}),
)


def read_open_document(path: Path) -> Iterator[Extract]:
    """The text of a document.

    Raises:
        ValueError, zipfile.BadZipFile: the file is no such document.
    """
    with zipfile.ZipFile(path) as archive:
        root = parse_xml(read_member(archive, "content.xml"))
    body = root.find("{*}body/{*}text")
    if body is None:
        raise ValueError("an OpenDocument file that is no text")
    yield Text(0, text_of(body, _MARKUP))
