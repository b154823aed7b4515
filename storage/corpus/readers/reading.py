"""From files to blocks of documents: which reader reads what, and how a file is cut into pieces."""

import codecs
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from storage.corpus.blocks import Block, Flaw, Repaired
from storage.corpus.config import CorpusConfig
from storage.corpus.encodings import (
    SAMPLE,
    UTF_8,
    encoding_of,
    to_utf8,
    with_line_feeds,
    without_mark,
)
from storage.corpus.pieces import Piece, Reading, SourceFile
from storage.corpus.readers.delimited import read_delimited
from storage.corpus.readers.flaws import no_pairs
from storage.corpus.readers.gate import Gate, Item
from storage.corpus.readers.json_values import read_json
from storage.corpus.readers.jsonl import read_jsonl
from storage.corpus.readers.lines import read_lines, read_paragraphs, read_whole
from storage.corpus.readers.tables import arrow_cuts, parquet_cuts, read_arrow, read_parquet
from storage.corpus.streams import (
    COMPRESSIONS,
    ChunkStream,
    DamageError,
    decompressed,
    file_chunks,
    line_chunks,
    line_start,
)

_TEXTS = {
    ".txt": "text",
    ".md": "markdown",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
_STREAMS = {
    ".html": "html",
    ".htm": "html",
    ".warc": "warc",
    ".wet": "warc",
    ".arc": "warc",
    ".xml": "wikipedia",
    ".tar": "tar",
}
_FILES = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".zip": "zip"}
_SHORT = {".tgz": "tar"}
_WITH_FIELDS = {"jsonl", "json", "csv", "tsv", "parquet", "arrow"}
_ARCHIVES = {"zip", "tar"}


@dataclass(frozen=True)
class Format:
    """What is in a file: the kind of reader, and the compression around it ("" for none)."""

    kind: str
    compression: str = ""


FORMATS = {
    **{suffix: Format(kind) for suffix, kind in {**_TEXTS, **_STREAMS, **_FILES}.items()},
    **{
        suffix + ending: Format(kind, compression)
        for suffix, kind in {**_TEXTS, **_STREAMS}.items()
        for ending, compression in COMPRESSIONS.items()
    },
    **{suffix: Format(kind, "gz") for suffix, kind in _SHORT.items()},
}
SUFFIXES = tuple(FORMATS)


def format_of(name: str | Path) -> Format | None:
    """The format that a file's name tells, or None where it is not read."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    return FORMATS.get("".join(suffixes)) or FORMATS.get("".join(suffixes[-1:]))


def cut(file: SourceFile, piece_bytes: int = 64 << 20) -> list[Piece]:
    """The pieces of a file, in order: big JSON Lines, lines of text and tables are cut up."""
    form = format_of(file.path)
    if form is None or file.size <= piece_bytes:
        return [Piece(file)]
    if form.kind == "parquet":
        return _cut_at(file, parquet_cuts(file.path, piece_bytes))
    if form.kind == "arrow":
        return _cut_at(file, arrow_cuts(file.path, piece_bytes))
    lines = form == Format("jsonl") or (form == Format("text") and file.text_unit == "line")
    if lines and "\n".encode(_head_encoding(file)) == b"\n":
        return _cut_at(file, list(range(piece_bytes, file.size, piece_bytes)), piece_bytes)
    return [Piece(file)]


def read(piece: Piece, config: CorpusConfig) -> Iterator[Item]:
    """Yields the documents of a piece in blocks, in order, and what was unreadable or mended.

    A block has at most about 8 MB of text and 16,384 documents; the flaws among its documents come
    after it. Memory holds a few chunks of the file and one document at most.

    Raises:
        CorpusError: a format whose package is not installed.
        OSError: the file cannot be read.
    """
    form = format_of(piece.file.path)
    assert form is not None, piece.file.path
    reading = Reading(piece, config)
    try:
        _check_pairs(reading, form)
        if form.kind == "parquet":
            yield from read_parquet(piece.file.path, Gate(reading), piece.start, piece.stop)
        elif form.kind == "arrow":
            yield from read_arrow(piece.file.path, Gate(reading), piece.start, piece.stop)
        elif form.kind in _TEXTS.values():
            begin = line_start(piece.file.path, piece.start)
            yield from _read_text(_chunks(piece, form, begin), reading, form.kind, begin)
        elif form.kind == "zip":
            with piece.file.path.open("rb") as file:
                yield from _read_stream(file, reading, form.kind)
        else:
            chunks = file_chunks(piece.file.path, form.compression)
            yield from _read_stream(cast(BinaryIO, ChunkStream(chunks)), reading, form.kind)
    except DamageError as error:
        yield error.flaw


def _check_pairs(reading: Reading, form: Format) -> None:
    if reading.file.pair and form.kind not in _WITH_FIELDS | _ARCHIVES:
        raise DamageError(no_pairs(form.kind))


def _chunks(piece: Piece, form: Format, begin: int) -> Iterator[bytes]:
    if form.compression:
        return file_chunks(piece.file.path, form.compression)
    if begin == 0 or piece.stop is None or begin <= piece.stop:
        return line_chunks(piece.file.path, begin, piece.stop)
    return iter(())


def _cut_at(file: SourceFile, places: list[int], piece_bytes: int | None = None) -> list[Piece]:
    starts, stops = [0, *places], [*places, None]
    size = piece_bytes or file.size // len(starts)
    return [Piece(file, start, stop, size) for start, stop in zip(starts, stops, strict=True)]


def _read_text(
    chunks: Iterator[bytes], reading: Reading, kind: str, begin: int = 0
) -> Iterator[Item]:
    file = reading.file
    head, chunks = _with_head(chunks)
    # All pieces of a file are in the encoding of its head.
    is_whole = reading.piece == Piece(file)
    encoding = _encoding(file, head) if is_whole else _head_encoding(file)
    if encoding != UTF_8:
        chunks = to_utf8(chunks, encoding)
    if begin == 0:
        chunks = without_mark(chunks)
    gate = Gate(reading, encoding)
    for item in _text_items(with_line_feeds(chunks), gate, kind, begin):
        yield item
        if isinstance(item, Block) and encoding != UTF_8 and file.encoding == "auto":
            yield Repaired(f"decoded.{encoding}", len(item))


def _with_head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """At least the first SAMPLE bytes, or all there are; and all chunks."""
    held: list[bytes] = []
    try:
        while sum(map(len, held)) < SAMPLE and (chunk := next(chunks, b"")):
            held.append(chunk)
    except DamageError as error:
        chunks = _damaged(error)
    head = b"".join(held)
    return head, chain([head], chunks)


def _damaged(error: DamageError) -> Iterator[bytes]:
    raise error
    yield b""


def _encoding(file: SourceFile, head: bytes) -> str:
    if file.encoding == "auto":
        return encoding_of(head[:SAMPLE])
    name = codecs.lookup(file.encoding).name
    return UTF_8 if name == "utf-8-sig" else name


def _head_encoding(file: SourceFile) -> str:
    with file.path.open("rb") as stream:
        return _encoding(file, stream.read(SAMPLE))


def _text_items(chunks: Iterator[bytes], gate: Gate, kind: str, begin: int) -> Iterator[Item]:
    if kind == "jsonl":
        return read_jsonl(chunks, gate, begin)
    if kind == "json":
        return read_json(chunks, gate)
    if kind in {"csv", "tsv"}:
        return read_delimited(chunks, gate, "," if kind == "csv" else "\t")
    if kind == "markdown" or gate.reading.file.text_unit == "file":
        return read_whole(chunks, gate)
    if gate.reading.file.text_unit == "line":
        return read_lines(chunks, gate, begin)
    return read_paragraphs(chunks, gate)


def _read_stream(stream: BinaryIO, reading: Reading, kind: str) -> Iterator[Item]:
    """Reads what needs a file to read from: pages, dumps and archives."""
    if kind == "html":
        from storage.corpus.readers.html import read_html

        yield from read_html(stream, reading)
    elif kind == "warc":
        from storage.corpus.readers.warc import read_warc

        yield from read_warc(stream, reading)
    elif kind == "wikipedia":
        from storage.corpus.readers.wikipedia import read_wikipedia

        yield from read_wikipedia(stream, reading)
    else:
        from storage.corpus.readers.archives import read_archive

        yield from read_archive(stream, reading, partial(_read_member, reading))


def _read_member(archive: Reading, stream: BinaryIO, name: str) -> Iterator[Item]:
    """Reads one member of an archive as a file of its own would be read."""
    form = format_of(name)
    if form is None or form.kind in _ARCHIVES:
        yield Repaired("members_not_read", 1)
        return
    outer = archive.file
    file = replace(outer, name=f"{outer.name}/{name}", path=outer.path / name)
    reading = replace(archive, piece=Piece(file))
    try:
        for item in _member_items(stream, reading, form):
            yield _placed(item, name) if isinstance(item, Flaw) else item
    except DamageError as error:
        yield _placed(error.flaw, name)


def _member_items(stream: BinaryIO, reading: Reading, form: Format) -> Iterator[Item]:
    _check_pairs(reading, form)
    chunks = decompressed(stream, form.compression)
    if form.kind in _TEXTS.values():
        yield from _read_text(chunks, reading, form.kind)
    elif form.kind in _STREAMS.values():
        yield from _read_stream(cast(BinaryIO, ChunkStream(chunks)), reading, form.kind)
    else:
        read_table = read_parquet if form.kind == "parquet" else read_arrow
        # Tables are read from their end on.
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(stream, file)
            file.seek(0)
            yield from read_table(cast(BinaryIO, file), Gate(reading), 0, None)


def _placed(flaw: Flaw, name: str) -> Flaw:
    place = name if flaw.place == "whole file" else f"{name}, {flaw.place}"
    return replace(flaw, place=place)
