"""HTML within other files: books (.epub) and messages."""

import codecs
import posixpath
import re
import zipfile
from collections.abc import Iterator
from html import escape
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from tasks.ingestion.encodings import SAMPLE, UTF_8, certain, guess, wider
from tasks.ingestion.extraction.found import Extract, Text
from tasks.ingestion.extraction.markup import (
    Markup,
    attribute,
    parse_html,
    parse_xml,
    read_member,
    text_of,
)

_BLOCKS = """address article aside blockquote body caption center dd details div dl dt fieldset
figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html legend li main ol p pre section
summary ul"""
_SKIPPED = "head iframe math noscript object rp rt script style svg template title"
_MARKUP = Markup(
    blocks=frozenset(_BLOCKS.split()),
    tables=frozenset({"table"}),
    rows=frozenset({"tr"}),
    cells=frozenset({"td", "th"}),
    skipped=frozenset(_SKIPPED.split()),
    breaks=frozenset({"br"}),
    tabs=frozenset(),
)
_DECLARED = re.compile(
    rb"""<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)"""
    rb"""|<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 1 << 12
# In XML text stands so too.
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>")
_PAGES = ("application/xhtml+xml", "text/html")


def text_of_page(page: str) -> str:
    """The text of a page, its paragraphs parted by blank lines."""
    root = parse_html(_DECLARATION.sub("", page))
    if root is None:
        return ""
    for element in list(root.iter()):
        kinds = (attribute(element, "type"), attribute(element, "role"))
        if "pagebreak" in kinds or "doc-pagebreak" in kinds:
            tail = element.tail
            element.clear()
            element.tail = tail
    return text_of(root, _MARKUP)


def read_epub(path: Path) -> Iterator[Extract]:
    """The text of a book (EPUB 2 and 3), chapter after chapter, as its spine has them.

    Raises:
        ValueError, zipfile.BadZipFile: it is none.
    """
    with zipfile.ZipFile(path) as archive:
        container = parse_xml(read_member(archive, "META-INF/container.xml"))
        roots = [attribute(each, "full-path") for each in container.iter("{*}rootfile")]
        if not roots:
            raise ValueError("a book without a package document")
        package = parse_xml(read_member(archive, roots[0]))
        items = {attribute(each, "id"): each for each in package.iter("{*}item")}
        chapters = []
        for reference in package.iter("{*}itemref"):
            item = items.get(attribute(reference, "idref"))
            if item is None or attribute(item, "media-type") not in _PAGES:
                continue
            if "nav" in attribute(item, "properties").split():
                continue
            target = posixpath.join(posixpath.dirname(roots[0]), unquote(attribute(item, "href")))
            data = read_member(archive, posixpath.normpath(target))
            page = _CDATA.sub(lambda cdata: escape(cdata[1]), decode_page(data))
            chapters.append(text_of_page(page))
    yield Text(0, "\n\n".join(chapter for chapter in chapters if chapter))


def decode_page(data: bytes, declared: str | None = None) -> str:
    """A page as text, in the first of these encodings that holds all of it.

    They are what its bytes tell beyond doubt, what was declared for it, its own declaration, UTF-8,
    and what its bytes look like.

    Raises:
        ValueError: none of them does.
    """
    own = _DECLARED.search(data[:_DECLARED_WITHIN])
    told = [certain(data[:SAMPLE]), declared, (own[1] or own[2]).decode() if own else None, UTF_8]
    for name in chain(told, (guess(data) for _ in range(1))):
        try:
            if name:
                text = data.decode(wider(codecs.lookup(name).name))
                return text.removeprefix("\ufeff")
        except (LookupError, ValueError):
            continue
    raise ValueError("a page in no encoding that is known")
