"""Text in elements: paragraphs, headings and tables of XML and HTML in the order of reading."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

_SPACE = re.compile(r"[ \t\r\n\f]+")
_AROUND_BREAK = re.compile(r" *\n *")


@dataclass(frozen=True)
class Markup:
    """What the elements of one format mean, by their local names.

    Attributes:
        blocks: a paragraph, a heading or a container of them: it ends the text before it.
        tables, rows, cells: of a table, which becomes a line a row with tabs between its cells.
        skipped: not text of the document: page numbers, running heads, deletions.
        breaks: a line break.
        tabs: a tab or a space.
        literal: if given, only the text of these elements counts, as it stands; otherwise that of
            all does, with runs of white space collapsed.
        notes: notes that stand in a paragraph, and come after it.
    """

    blocks: frozenset[str]
    tables: frozenset[str]
    rows: frozenset[str]
    cells: frozenset[str]
    skipped: frozenset[str]
    breaks: frozenset[str]
    tabs: frozenset[str]
    literal: frozenset[str] = frozenset()
    notes: frozenset[str] = frozenset()


def parse_xml(data: bytes) -> Any:
    """The root of an XML text, with the entities that it declares itself; nothing is fetched.

    Raises:
        ValueError: it is no XML, or names an entity whose text is elsewhere.
    """
    parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"no XML: {error}") from error
    if entity := next(root.iter(etree.Entity), None):
        raise ValueError(f"the text of {entity.text} is not in it")
    return root


def parse_html(text: str) -> Any:
    """The root element of a page; None if it has none."""
    parser = etree.HTMLParser(no_network=True, encoding="utf-8")
    data = text.encode("utf-8", "replace")
    return etree.fromstring(data, parser) if data.strip() else None


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member.

    Raises:
        ValueError: it is not there.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise ValueError(f"no member {name}") from error


def text_of(root: Any, markup: Markup) -> str:
    """All text under an element, its paragraphs separated by blank lines."""
    return "\n\n".join(blocks_of(root, markup))


def blocks_of(root: Any, markup: Markup) -> list[str]:
    """The paragraphs, headings and tables under an element, in their order, without empty ones."""
    walk = _Walk(markup)
    walk.into(root)
    walk.end()
    return walk.blocks


class _Walk:
    def __init__(self, markup: Markup) -> None:
        self.blocks: list[str] = []
        self._markup = markup
        self._parts: list[str] = []
        self._notes: list[str] = []

    def into(self, element: Any) -> None:
        """Adds the text of an element and of its children."""
        self._text(element.text, element)
        for child in element:
            self._child(child)
            self._text(child.tail, element)

    def end(self) -> None:
        """Ends a paragraph."""
        text = _AROUND_BREAK.sub("\n", "".join(self._parts)) if self._parts else ""
        if not self._markup.literal:
            text = re.sub(" {2,}", " ", text)
        self._parts.clear()
        notes, self._notes = self._notes, []
        self.blocks += [each for each in (text.strip(), *notes) if each]

    def _child(self, element: Any) -> None:
        markup, name = self._markup, local_name(element)
        if name in markup.skipped or not name:
            return
        if name in markup.breaks:
            self._parts.append("\n")
        elif name in markup.tabs:
            self._parts.append("\t" if markup.literal else " " * _count(element))
        elif name in markup.notes:
            self._notes += blocks_of(element, markup)
        elif name in markup.tables:
            self.end()
            self.blocks += [table for table in (_table(element, markup),) if table]
        elif name in markup.blocks:
            self.end()
            self.into(element)
            self.end()
        else:
            self.into(element)

    def _text(self, text: str | None, holder: Any) -> None:
        if not text:
            return
        if not self._markup.literal:
            self._parts.append(_SPACE.sub(" ", text))
        elif local_name(holder) in self._markup.literal:
            self._parts.append(text)


def local_name(element: Any) -> str:
    """The name of an element without its namespace; "" of comments and instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """An attribute by its name without the namespace, or ""."""
    for key, value in element.attrib.items():
        if re.split("[}:]", key)[-1] == name:
            return str(value)
    return ""


def _count(element: Any) -> int:
    count = attribute(element, "c")
    return min(int(count), 100) if count.isdecimal() else 1


def _table(table: Any, markup: Markup) -> str:
    lines = []
    for row in _nearest(table, markup.rows, markup):
        cells = _nearest(row, markup.cells, markup)
        texts = [" ".join(text_of(cell, markup).split()) for cell in cells]
        if any(texts):
            lines.append("\t".join(texts).rstrip("\t"))
    return "\n".join(lines)


def _nearest(element: Any, names: frozenset[str], markup: Markup) -> Iterator[Any]:
    """The elements of these names below one, without those within them."""
    for child in element:
        name = local_name(child)
        if name in names:
            yield child
        elif name and name not in markup.skipped:
            yield from _nearest(child, names, markup)
