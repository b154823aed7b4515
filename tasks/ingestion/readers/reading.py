"""From files to batches of documents: which reader reads what, how a file is cut up."""

import codecs
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.encodings import (
    SAMPLE,
    UTF_8,
    encoding_of,
    to_utf8,
    with_line_feeds,
    without_mark,
)
from corpusmill.tasks.ingestion.fragments import Fragment, Reading, SourceFile
from corpusmill.tasks.ingestion.readers.delimited import read_delimited
from corpusmill.tasks.ingestion.readers.flaws import foreign, left_over, nested, no_pairs, not_read
from corpusmill.tasks.ingestion.readers.formats import (
    ARCHIVES,
    DOCUMENTS,
    FOREIGN,
    STREAMS,
    TEXTS,
    WITH_FIELDS,
    Format,
    format_of,
    has_package,
    is_json,
    is_read,
    opened,
)
from corpusmill.tasks.ingestion.readers.json_values import read_json
from corpusmill.tasks.ingestion.readers.jsonl import read_jsonl
from corpusmill.tasks.ingestion.readers.lines import read_lines, read_paragraphs, read_whole
from corpusmill.tasks.ingestion.readers.own import read_own
from corpusmill.tasks.ingestion.readers.sanitizer import Item, Sanitizer
from corpusmill.tasks.ingestion.readers.tables import (
    arrow_cuts,
    parquet_cuts,
    read_arrow,
    read_parquet,
)
from corpusmill.tasks.ingestion.streams import (
    ByteStream,
    ChunkStream,
    DamageError,
    file_chunks,
    line_chunks,
    line_start,
)

_TABLES = {"parquet": read_parquet, "arrow": read_arrow}


def cut(file: SourceFile, fragment_bytes: int = 64 << 20) -> list[Fragment]:
    """The fragments of a file, in order: big JSON Lines, lines of text and tables are cut up."""
    form = file.format
    if file.size <= fragment_bytes:
        return [Fragment(file)]
    if form == Format("parquet"):
        return _cut_at(file, parquet_cuts(file.path, fragment_bytes))
    if form == Format("arrow"):
        return _cut_at(file, arrow_cuts(file.path, fragment_bytes))
    if form == Format("jsonl") or (form == Format("text") and file.text_unit == "line"):
        head = _head_of(file)
        encoding = _encoding(file, head)
        is_lines = form.kind == "text" or not is_json(head.decode(encoding, "replace"))
        if is_lines and "\n".encode(encoding) == b"\n":
            return _cut_at(
                file, list(range(fragment_bytes, file.size, fragment_bytes)), fragment_bytes
            )
    return [Fragment(file)]


def read(fragment: Fragment, config: CorpusConfig) -> Iterator[Item]:
    """Yields the documents of a fragment in batches, in order, and what was unreadable or mended.

    A batch has at most about 8 MB of text and 16,384 documents; the flaws among its documents come
    after it. Memory holds a few chunks of the file and one document at most. All bytes of the file
    that no reader consumed are counted in a flaw.

    Raises:
        CorpusError: a format whose package is not installed.
        OSError: the file cannot be read.
    """
    form, path, reading = fragment.file.format, fragment.file.path, Reading(fragment, config)
    if form in map(Format, _TABLES):
        items = _TABLES[form.kind](path, Sanitizer(reading), fragment.start, fragment.stop)
        yield from _complete(items, fragment.bytes)
    elif form == Format("zip"):
        with path.open("rb") as file:
            yield from _complete(_read_stream(file, reading, form.kind), fragment.bytes)
    elif fragment == Fragment(fragment.file):
        yield from _read_bytes(ByteStream(file_chunks(path), fragment.bytes), reading, form)
    else:
        begin = line_start(path, fragment.start)
        is_past = fragment.stop is not None and begin > fragment.stop
        chunks = iter(()) if is_past else line_chunks(path, begin, fragment.stop)
        yield from _read_text(chunks, reading, form.kind, head=_head_of(fragment.file), begin=begin)


def _complete(items: Iterator[Item], size: int, raw: ByteStream | None = None) -> Iterator[Item]:
    """Yields the items, and a flaw for what they leave unread of `raw`.

    A DamageError becomes its flaw, which then counts the rest too; if the whole file is damaged,
    it also counts what was read of `raw`, or `size` bytes if that is None.
    """
    try:
        yield from items
    except DamageError as error:
        flaw = error.flaw
        rest = raw.rest() if raw else 0
        if flaw.place == WHOLE_FILE and flaw.bytes is not None:
            yield replace(flaw, bytes=rest + (raw.taken if raw else size))
        else:
            yield replace(flaw, bytes=None if flaw.bytes is None else flaw.bytes + rest)
        return
    if raw and (rest := raw.rest()):
        yield left_over(f"after byte {raw.taken}", rest)


def _read_bytes(
    raw: ByteStream, reading: Reading, named: Format, is_member: bool = False
) -> Iterator[Item]:
    """Decompresses a stream and reads it by its format: by its first bytes, or else by `named`."""
    within, form = opened(raw, named)
    items = _items(within, reading, form.kind, is_member)
    yield from _complete(items, reading.fragment.bytes, within)


def _items(raw: ByteStream, reading: Reading, kind: str, is_member: bool) -> Iterator[Item]:
    if kind in FOREIGN:
        raise DamageError(foreign(kind))
    if reading.file.pair and kind not in WITH_FIELDS | ARCHIVES:
        raise DamageError(no_pairs(kind))
    if is_member and kind in ARCHIVES:
        raise DamageError(nested())
    if kind in TEXTS.values():
        yield from _read_text(raw, reading, kind, head=raw.head(SAMPLE))
    elif kind in STREAMS.values():
        encoding = UTF_8
        if kind == "wikipedia":
            encoding = _encoding(reading.file, raw.head(SAMPLE)[:SAMPLE])
        stream = raw.as_file()
        if encoding != UTF_8:
            stream = cast(BinaryIO, ChunkStream(to_utf8(raw, encoding)))
        yield from _with_count(_read_stream(stream, reading, kind), reading.file, encoding)
    else:
        # Tables and .zip are read from their end on, and readers of one's own may seek.
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(raw.as_file(), file)
            file.seek(0)
            whole = cast(BinaryIO, file)
            if own := reading.config.readers.get(kind):
                yield from read_own(whole, reading, own)
            elif kind in DOCUMENTS.values():
                yield from _read_documents(whole, reading, kind)
            elif kind in _TABLES:
                yield from _TABLES[kind](whole, Sanitizer(reading), 0, None)
            else:
                yield from _read_stream(whole, reading, kind)


def _read_documents(file: BinaryIO, reading: Reading, kind: str) -> Iterator[Item]:
    if not has_package(kind):
        name = f"{reading.file.name}.{kind}"
        yield replace(not_read(WHOLE_FILE, name, reading.file.size), apart="")
        return
    from corpusmill.tasks.ingestion.readers.documents import read_documents

    yield from read_documents(file, reading, kind)


def _cut_at(
    file: SourceFile, places: list[int], fragment_bytes: int | None = None
) -> list[Fragment]:
    starts, stops = [0, *places], [*places, None]
    size = fragment_bytes or file.size // len(starts)
    return [Fragment(file, start, stop, size) for start, stop in zip(starts, stops, strict=True)]


def _read_text(
    chunks: Iterator[bytes], reading: Reading, kind: str, head: bytes, begin: int = 0
) -> Iterator[Item]:
    """Reads text from byte `begin` on; all fragments of a file are in the encoding of its head."""
    file = reading.file
    encoding = _encoding(file, head[:SAMPLE])
    if kind == "jsonl" and begin == 0 and is_json(head[:SAMPLE].decode(encoding, "replace")):
        kind = "json"
    if encoding != UTF_8:
        chunks = to_utf8(chunks, encoding)
    if begin == 0:
        chunks = without_mark(chunks)
    items = _text_items(with_line_feeds(chunks), Sanitizer(reading, encoding), kind, begin)
    yield from _with_count(items, file, encoding)


def _with_count(items: Iterator[Item], file: SourceFile, encoding: str) -> Iterator[Item]:
    """Yields the items, and counts the documents whose encoding was detected, if not UTF-8."""
    for item in items:
        yield item
        if isinstance(item, DocumentBatch) and encoding != UTF_8 and file.encoding == "auto":
            yield Repaired(f"decoded.{encoding}", len(item))


def _encoding(file: SourceFile, head: bytes) -> str:
    if file.encoding == "auto":
        return encoding_of(head)
    name = codecs.lookup(file.encoding).name
    return UTF_8 if name == "utf-8-sig" else name


def _head_of(file: SourceFile) -> bytes:
    with file.path.open("rb") as stream:
        return stream.read(SAMPLE)


def _text_items(
    chunks: Iterator[bytes], sanitizer: Sanitizer, kind: str, begin: int
) -> Iterator[Item]:
    if kind == "jsonl":
        return read_jsonl(chunks, sanitizer, begin)
    if kind == "json":
        return read_json(chunks, sanitizer)
    if kind in {"csv", "tsv"}:
        return read_delimited(chunks, sanitizer, "," if kind == "csv" else "\t")
    if kind == "markdown" or sanitizer.reading.file.text_unit == "file":
        return read_whole(chunks, sanitizer)
    if sanitizer.reading.file.text_unit == "line":
        return read_lines(chunks, sanitizer, begin)
    return read_paragraphs(chunks, sanitizer)


def _read_stream(stream: BinaryIO, reading: Reading, kind: str) -> Iterator[Item]:
    """Reads what needs a file to read from: pages, dumps and archives."""
    if kind == "html":
        from corpusmill.tasks.ingestion.readers.html import read_html

        yield from read_html(stream, reading)
    elif kind == "warc":
        from corpusmill.tasks.ingestion.readers.warc import read_warc

        yield from read_warc(stream, reading)
    elif kind == "wikipedia":
        from corpusmill.tasks.ingestion.readers.wikipedia import read_wikipedia

        yield from read_wikipedia(stream, reading)
    else:
        from corpusmill.tasks.ingestion.readers.archives import read_tar, read_zip

        read_archive = read_zip if kind == "zip" else read_tar
        yield from read_archive(stream, reading, partial(_read_member, reading))


def _read_member(archive: Reading, chunks: Iterator[bytes], name: str, size: int) -> Iterator[Item]:
    """Reads one member of an archive, of `size` bytes, as a file of its own would be read."""
    readers = archive.config.readers
    form = format_of(name, readers)
    if form is None or not is_read(name, readers):
        yield not_read(name, name, size)
        return
    if form.kind in ARCHIVES:
        yield replace(nested(), place=name, bytes=size)
        return
    outer = archive.file
    file = replace(outer, name=f"{outer.name}/{name}", path=outer.path / name, size=size)
    reading = replace(archive, fragment=Fragment(file))
    for item in _read_bytes(ByteStream(chunks, size), reading, form, is_member=True):
        yield _placed(item, name) if isinstance(item, Flaw) else item


def _placed(flaw: Flaw, name: str) -> Flaw:
    place = name if flaw.place == WHOLE_FILE else f"{name}, {flaw.place}"
    return replace(flaw, place=place)
