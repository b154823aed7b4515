"""Word documents, .docx (ECMA-376): the body, with notes after the paragraphs that name them.

Headers and footers, in which the page numbers stand, lie in parts of their own and are not read;
nor is what was deleted, written above other words (ruby), or written by the fields of page
numbers. python-docx gives neither notes nor what was inserted or stands in content controls.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpusmill.tasks.ingestion.extraction.fields import clear_fields
from corpusmill.tasks.ingestion.extraction.found import Counted, Extract, Text, Unreadable
from corpusmill.tasks.ingestion.extraction.markup import (
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
    skipped=frozenset({"del", "moveFrom", "instrText", "delText", "rPr", "pPr", "rt"}),
    breaks=frozenset({"br", "cr"}),
    tabs=frozenset({"tab", "ptab"}),
    literal=frozenset({"t"}),
    notes=frozenset({"note"}),
)
# Private use area, where symbol fonts put their glyphs.
_PRIVATE = range(0xE000, 0xF900)
_CODE = re.compile("[0-9A-Fa-f]{1,4}")


def read_word(path: Path) -> Iterator[Extract]:
    """The text of a document.

    Raises:
        ValueError, zipfile.BadZipFile: the file is no such document.
    """
    with zipfile.ZipFile(path) as archive:
        name = _main_part(archive)
        root = parse_xml(read_member(archive, name))
        folder = posixpath.dirname(name)
        for kind in ("footnote", "endnote"):
            part = posixpath.join(folder, f"{kind}s.xml")
            if part in archive.namelist():
                _place_notes(root, parse_xml(archive.read(part)), kind)
        yield from _other_parts(root)
    clear_fields(root)
    _choose(root)
    unnamed = _name_characters(root)
    if unnamed:
        yield Counted("symbols_not_read", unnamed)
    yield Text(0, text_of(root, _MARKUP))


def _other_parts(root: Any) -> Iterator[Unreadable]:
    """Embedded files of other formats, which Word imports when it opens the document."""
    for number, _ in enumerate(root.iter("{*}altChunk")):
        yield Unreadable(
            f"part {number}",
            "not_read",
            "found a file of another format within the document, expected its text",
            "open the document in Word and save it again",
            0,
            0,
        )


def _choose(root: Any) -> None:
    """Keeps of each `AlternateContent` only the first alternative that has text."""
    for forms in list(root.iter("{*}AlternateContent")):
        chosen = next((form for form in forms if _has_text(form)), None)
        for form in list(forms):
            if form is not chosen:
                forms.remove(form)


def _has_text(form: Any) -> bool:
    texts = form.iter("{*}t", "{*}sym")
    return any(each.text or local_name(each) == "sym" for each in texts)


def _name_characters(root: Any) -> int:
    """Replaces elements for one character by text; returns how many have no Unicode character."""
    unnamed = 0
    for element in list(root.iter("{*}noBreakHyphen", "{*}sym")):
        text = "\N{NON-BREAKING HYPHEN}"
        if local_name(element) == "sym":
            digits = attribute(element, "char")
            code = int(digits, 16) if _CODE.fullmatch(digits) else _PRIVATE[0]
            unnamed += code in _PRIVATE
            text = "" if code in _PRIVATE else chr(code)
        element.tag, element.text = "t", text
    return unnamed


def _main_part(archive: zipfile.ZipFile) -> str:
    for relation in parse_xml(read_member(archive, "_rels/.rels")):
        if attribute(relation, "Type").endswith("/officeDocument"):
            return attribute(relation, "Target").lstrip("/")
    raise ValueError("no part that is a document")


def _place_notes(root: Any, notes: Any, kind: str) -> None:
    """Moves each note to its reference."""
    by_id = {attribute(note, "id"): note for note in notes if local_name(note) == kind}
    for reference in list(root.iter(f"{{*}}{kind}Reference")):
        note = by_id.get(attribute(reference, "id"))
        if note is not None:
            note.tag = "note"
            reference.append(note)
