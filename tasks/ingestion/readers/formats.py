"""The format of a file, by its name and, above that, by its first bytes."""

import importlib.util
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from corpusmill.tasks.ingestion.config import COMPRESSIONS
from corpusmill.tasks.ingestion.streams import ByteStream, file_chunks

TEXTS = {
    ".txt": "text",
    ".md": "markdown",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
STREAMS = {
    ".html": "html",
    ".htm": "html",
    ".warc": "warc",
    ".wet": "warc",
    ".arc": "warc",
    ".xml": "wikipedia",
    ".tar": "tar",
}
# Read by the packages of the extra `documents`.
DOCUMENTS = {
    ".docx": "docx",
    ".odt": "odt",
    ".epub": "epub",
    ".eml": "eml",
    ".mbox": "mbox",
    ".pdf": "pdf",
}
# .zip archives whose members are not documents; their first members identify them.
_ZIPPED = {
    "epub": re.compile(rb".{26}\x08\0.{2}mimetypeapplication/epub\+zip", re.DOTALL),
    "odt": re.compile(
        rb".{26}\x08\0.{2}mimetypeapplication/vnd\.oasis\.opendocument\.text", re.DOTALL
    ),
    "docx": re.compile(
        rb".{30}(?:\[Content_Types\]\.xml|_rels/|docProps/|word/).*PK\x03\x04.{26}word/", re.DOTALL
    ),
}
_ZIP_HEAD = 1 << 16
_FILES = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".zip": "zip"}
_SHORT = {".tgz": "tar"}
SUPPORTED = (
    ".txt, .md, .html, .jsonl, .json, .csv, .tsv, .parquet, .arrow, .warc, .wet, .xml, .docx, "
    ".pdf, .odt, .epub, .eml or .mbox, plain or as .gz, .zst, .bz2 or .xz, or a .zip or .tar of "
    "them"
)
WITH_FIELDS = {"jsonl", "json", "csv", "tsv", "parquet", "arrow"}
ARCHIVES = {"zip", "tar"}

HEAD = 1 << 10
# A server may compress what is compressed already.
_LAYERS = 2
_COMPRESSED = {
    "gz": re.compile(rb"\x1f\x8b\x08"),
    "zst": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
# The longest of these magic numbers; a file that is cut off within one is not text.
_MARK = 10
_FIRST = {"gz": b"\x1f", "zst": b"\x28", "bz2": b"B", "xz": b"\xfd"}
_KINDS = {
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    # What follows is the head of a page or the footer, both of which begin with a number.
    "parquet": re.compile(rb"PAR1\x15"),
    "pdf": re.compile(rb"%PDF-\d"),
    "arrow": re.compile(rb"ARROW1\0\0"),
    "warc": re.compile(rb"WARC/\d\.\d+\r?\n|filedesc://"),
    "tar": re.compile(rb".{257}ustar[\0 ]", re.DOTALL),
    "Git LFS pointer": re.compile(rb"version https://git-lfs\.github\.com/spec/"),
    "git-annex pointer": re.compile(rb"/annex/objects/\S+\s*\Z"),
    "RTF": re.compile(rb"\{\\rtf\d"),
    "PostScript": re.compile(rb"%!PS-Adobe-"),
}
# Formats of text characters that hold no text to read, and how to get it.
FOREIGN = {
    "Git LFS pointer": "run `git lfs pull` where it comes from",
    "git-annex pointer": "run `git annex get` where it comes from",
    "RTF": "save it as .docx or as text",
    "PostScript": "convert it to .pdf (ps2pdf does)",
}
_POINTERS = ("Git LFS pointer", "git-annex pointer")


@dataclass(frozen=True)
class Format:
    """What is in a file: the kind of reader, and the compression around it ("" for none)."""

    kind: str
    compression: str = ""


FORMATS = {
    **{
        suffix: Format(kind) for suffix, kind in {**TEXTS, **STREAMS, **DOCUMENTS, **_FILES}.items()
    },
    **{
        suffix + ending: Format(kind, compression)
        for suffix, kind in {**TEXTS, **STREAMS, **DOCUMENTS}.items()
        for ending, compression in COMPRESSIONS.items()
    },
    **{suffix: Format(kind, "gz") for suffix, kind in _SHORT.items()},
}


def format_of(name: str | Path, own: Collection[str] = ()) -> Format | None:
    """The format that a file's name tells, or None where it is not read.

    Args:
        own: suffixes for which there is a reader of one's own; such a suffix is the kind.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    if suffixes and suffixes[-1] in own:
        return Format(suffixes[-1])
    if len(suffixes) > 1 and suffixes[0] in own and suffixes[1] in COMPRESSIONS:
        return Format(suffixes[0], COMPRESSIONS[suffixes[1]])
    return FORMATS.get("".join(suffixes)) or FORMATS.get("".join(suffixes[-1:]))


def is_read(name: str | Path, own: Collection[str] = ()) -> bool:
    """Whether files of this name are read, with the packages and readers that there are."""
    form = format_of(name, own)
    return form is not None and (form.kind not in DOCUMENTS.values() or has_package(form.kind))


def has_package(kind: str) -> bool:
    """Whether the package is installed that reads this kind of documents."""
    return importlib.util.find_spec("pypdfium2" if kind == "pdf" else "lxml") is not None


def opened(raw: ByteStream, named: Format) -> tuple[ByteStream, Format]:
    """A stream decompressed, and its format: by its first bytes, or else by `named`.

    Text has no magic number: there the name decides.
    """
    kind, compression = named.kind, ""
    for _ in range(_LAYERS):
        head = raw.head(HEAD)
        found = next((name for name, mark in _COMPRESSED.items() if mark.match(head)), "")
        if not (found or compression) and _is_begun(head, named.compression):
            found = named.compression
        if not found:
            break
        compression = compression or found
        raw = raw.decompressed(found)
    head = raw.head(HEAD)
    # A format of one's own may begin with any bytes.
    marks = _KINDS if not kind.startswith(".") else {each: _KINDS[each] for each in _POINTERS}
    found = next((name for name, mark in marks.items() if mark.match(head)), kind)
    if found == "zip":
        head = raw.head(_ZIP_HEAD)
        other = kind if kind in _ZIPPED else found
        found = next((name for name, first in _ZIPPED.items() if first.match(head)), other)
    return raw, Format(found, compression)


def _is_begun(head: bytes, compression: str) -> bool:
    """Whether a file ends within the magic number of this compression."""
    return 0 < len(head) < _MARK and head[:1] == _FIRST.get(compression)


def format_at(path: Path, own: Collection[str] = ()) -> Format:
    """The format of a file, by its name and its first bytes.

    Raises:
        OSError: the file cannot be read.
    """
    named = format_of(path, own)
    assert named is not None, path
    return opened(ByteStream(file_chunks(path)), named)[1]


def is_json(head: str) -> bool:
    """Whether what is called JSON Lines is JSON: one array, or objects of several lines each.

    Lines that are all arrays are not, and none of them is a document.
    """
    head = head.lstrip("\ufeff \t\r\n")
    if re.match(r"\{[ \t\r]*\n", head):
        return True
    if not re.match(r"\[\s*[{\]]", head):
        return False
    line, _, rest = head.partition("\n")
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()
