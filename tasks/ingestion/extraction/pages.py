"""HTML within other files: books (.epub) and messages."""

import codecs
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from corpusmill.tasks.ingestion.encodings import SAMPLE, UTF_8, certain, guess, wider
from corpusmill.tasks.ingestion.extraction.found import Counted, Extract, Text, Unreadable
from corpusmill.tasks.ingestion.extraction.markup import (
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
# In XML, text may be a CDATA section.
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_SUBSET = re.compile(r"<!DOCTYPE\b[^\[>]*\[.*?\]\s*>", re.DOTALL)
_ENTITY = re.compile(r"""<!ENTITY\s+([\w.:-]+)\s+(?:"([^"]*)"|'([^']*)')\s*>""")
_REFERENCE = re.compile(r"&([\w.:-]+);")
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>")
_PAGES = ("application/xhtml+xml", "text/html")
# For a member that is missing, damaged, encrypted, or compressed in an unknown way.
_UNREADABLE = (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class Page:
    """A page as text.

    Attributes:
        text: with its markup.
        guessed: the encoding that it was detected to be in, if none was declared.
    """

    text: str
    guessed: str | None


def text_of_page(page: str) -> str:
    """The text of a page, its paragraphs separated by blank lines."""
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

    A chapter that cannot be read is lost alone.

    Raises:
        ValueError, zipfile.BadZipFile: the file is no EPUB, or no chapter can be read.
    """
    with zipfile.ZipFile(path) as archive:
        chapters, losses = list[str](), list[Unreadable]()
        for name in _spine(archive):
            try:
                page = decode_page(read_member(archive, name))
            except _UNREADABLE as error:
                losses.append(_lost(archive, name, error))
                continue
            if page.guessed:
                yield Counted(f"decoded.{page.guessed}", 1)
            chapters.append(text_of_page(_expand(page.text)))
    if losses and not chapters:
        raise ValueError(losses[0].finding)
    yield from losses
    yield Text(0, "\n\n".join(chapter for chapter in chapters if chapter))


def _spine(archive: zipfile.ZipFile) -> Iterator[str]:
    """The names of the chapters, in order."""
    container = parse_xml(read_member(archive, "META-INF/container.xml"))
    roots = [attribute(each, "full-path") for each in container.iter("{*}rootfile")]
    if not roots:
        raise ValueError("a book without a package document")
    package = parse_xml(read_member(archive, roots[0]))
    items = {attribute(each, "id"): each for each in package.iter("{*}item")}
    for reference in package.iter("{*}itemref"):
        item = items.get(attribute(reference, "idref"))
        if item is None or attribute(item, "media-type") not in _PAGES:
            continue
        if "nav" in attribute(item, "properties").split():
            continue
        target = posixpath.join(posixpath.dirname(roots[0]), unquote(attribute(item, "href")))
        yield posixpath.normpath(target)


def _lost(archive: zipfile.ZipFile, name: str, error: Exception) -> Unreadable:
    size = archive.getinfo(name).compress_size if name in archive.namelist() else 0
    finding = f"found a chapter that cannot be read ({error}), expected a page"
    return Unreadable(name, "damaged", finding, "fetch the book again", 0, size)


def _expand(page: str) -> str:
    """XHTML as HTML: CDATA sections as text, and declared entities replaced by their text."""
    if subset := _SUBSET.search(page):
        declared = {name: one or other for name, one, other in _ENTITY.findall(subset[0])}
        page = page[: subset.start()] + page[subset.end() :]
        page = _REFERENCE.sub(lambda each: declared.get(each[1], each[0]), page)
    return _CDATA.sub(lambda cdata: escape(cdata[1]), page)


def decode_page(data: bytes, declared: str | None = None) -> Page:
    """A page as text, in the first of these encodings in which all of it can be decoded.

    They are what `certain` finds, `declared`, the declaration in the page, UTF-8, and what `guess`
    finds.

    Raises:
        ValueError: it can be decoded in none of them.
    """
    own = _DECLARED.search(data[:_DECLARED_WITHIN])
    told = [certain(data[:SAMPLE]), declared, (own[1] or own[2]).decode() if own else None, UTF_8]
    guesses = ((guess(data), True) for _ in range(1))
    for name, is_guessed in chain(((name, False) for name in told), guesses):
        try:
            if name:
                text = data.decode(wider(codecs.lookup(name).name))
                return Page(text.removeprefix("\ufeff"), name if is_guessed else None)
        except (LookupError, ValueError):
            continue
    raise ValueError("a page in no encoding that is known")
