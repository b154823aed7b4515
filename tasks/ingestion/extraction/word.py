"""Word documents, .docx (ECMA-376): the body, with notes after the paragraphs that name them.

Headers and footers, in which the page numbers stand, lie in parts of their own and are not read;
nor is what was deleted, or written by the fields of page numbers.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.ingestion.extraction.found import Extract, Text
from tasks.ingestion.extraction.markup import (
    Markup,
    attribute,
    local_name,
    parse_xml,
    read_member,
    text_of,
)

_MARKUP = Markup(
    blocks=frozenset({"p", "body"}),
    tables=frozenset({"tbl"}),
    rows=frozenset({"tr"}),
    cells=frozenset({"tc"}),
    skipped=frozenset({"del", "moveFrom", "instrText", "delText", "Fallback", "rPr", "pPr"}),
    breaks=frozenset({"br", "cr"}),
    tabs=frozenset({"tab"}),
    literal=frozenset({"t"}),
    notes=frozenset({"note"}),
)
_NUMBERS = ("PAGE", "NUMPAGES", "SECTIONPAGES")


def read_word(path: Path) -> Iterator[Extract]:
    """The text of a document.

    Raises:
        ValueError, zipfile.BadZipFile: it is none.
    """
    with zipfile.ZipFile(path) as archive:
        name = _main_part(archive)
        root = parse_xml(read_member(archive, name))
        folder = posixpath.dirname(name)
        for kind in ("footnote", "endnote"):
            part = posixpath.join(folder, f"{kind}s.xml")
            if part in archive.namelist():
                _place_notes(root, parse_xml(archive.read(part)), kind)
    for field in list(root.iter("{*}fldSimple")):
        words = attribute(field, "instr").split()
        if words and words[0] in _NUMBERS:
            field.clear()
    yield Text(0, text_of(root, _MARKUP))


def _main_part(archive: zipfile.ZipFile) -> str:
    for relation in parse_xml(read_member(archive, "_rels/.rels")):
        if attribute(relation, "Type").endswith("/officeDocument"):
            return attribute(relation, "Target").lstrip("/")
    raise ValueError("no part that is a document")


def _place_notes(root: Any, notes: Any, kind: str) -> None:
    """Puts each note where it is named."""
    by_id = {attribute(note, "id"): note for note in notes if local_name(note) == kind}
    for reference in list(root.iter(f"{{*}}{kind}Reference")):
        note = by_id.get(attribute(reference, "id"))
        if note is not None:
            note.tag = "note"
            reference.append(note)
