"""Random files of every format that is read, from texts that are known, some of them harmed."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests import random_documents
from tests.archived import tarred, zipped_always_alike

PLAIN = ("雪", "river", "Straße", "one two", "três", "снег", "balloon 🎈", "seven")
MARKED = ("<b>x</b>", 'say "hi"', "a,b", "back\\slash", "&amp;", "it's")
BROKEN = "new\nline"
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "gb18030", "cp1252", "koi8-r", "shift_jis")
# These begin with a mark that says what they are.
MARKS = ("utf-8-sig", "utf-16")
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
LINES = ("jsonl", "txt", "csv", "tsv")
WHOLE = ("md", "html")
TABLES = ("parquet", "arrow")
KINDS = (*LINES, "json", "md", "html", "warc", "xml", *TABLES)
# Of which two, one after the other, are one.
JOINABLE = ("jsonl", "txt", "warc", "tar", "mbox")
# Reading one takes a process.
DOCUMENTS = tuple(random_documents.WRITERS)
MESSAGES = ("eml", "mbox")


_SINGLE = (*WHOLE, *random_documents.ZIPPED, "eml")


class Told(Enum):
    """What its bytes tell of a file, and so what can be asked of its reader."""

    WHOLE = "all texts come back, and no flaw"
    COUNTED = "no text is missing or changed without being counted"
    SHORTER = "no text is changed without being counted; nothing tells of missing ones"
    NOTHING = "reading ends"


@dataclass(frozen=True)
class RandomFile:
    """A file and what is known of it.

    Attributes:
        texts: all that were written to it, in order.
        is_plain: whether its texts take as many bytes of the file as they have, or more.
        encoding: as its source names it.
        mark: the encoding that the mark says with which it begins, if any.
        harm: what was done to it; "" for nothing.
    """

    name: str
    data: bytes
    texts: tuple[str, ...]
    told: Told = Told.WHOLE
    is_plain: bool = True
    encoding: str = "auto"
    mark: str = ""
    harm: str = ""

    @property
    def kind(self) -> str:
        """What is in it within compression."""
        return self.name.split(".")[1]

    @property
    def is_checked(self) -> bool:
        """Whether checksums cover every byte of the texts."""
        return self.kind in ("zip", *random_documents.ZIPPED) or self.name.endswith(
            tuple(COMPRESSIONS)
        )


def random_file(seed: int, number: int, kinds: Sequence[str] = KINDS) -> RandomFile:
    """File `number` of this seed, of one of these kinds or an archive: always the same bytes."""
    random = Random(f"{seed}/{number}")
    kind = random.choice((*kinds, "zip", "tar"))
    harm = random.choice((_leave, _cut, _double, _append, _misname, _hole, _change))
    if kind in ("zip", "tar"):
        return harm(random, lambda: _archive(random, kind, kinds))
    return harm(random, lambda: _file(random, kind))


def _texts(random: Random, kind: str, encoding: str = "utf-8") -> list[str]:
    words = [*PLAIN] if kind == "xml" else [*PLAIN, *MARKED]
    words = [word for word in words if word.encode(encoding, "ignore").decode(encoding) == word]
    if kind not in ("txt", "tsv", "html", "xml", *DOCUMENTS):
        words.append(BROKEN)
    # Articles begin with their title.
    between = "\n\n" if kind == "xml" else " "
    return [
        f"text {random.random()}{between}"
        + " ".join(random.choices(words, k=random.randint(1, 60)))
        + "."
        for _ in range(1 if kind in _SINGLE else random.randint(1, 30))
    ]


def _file(random: Random, kind: str) -> RandomFile:
    is_text = kind in (*LINES, "json", "md")
    encoding = random.choice(ENCODINGS) if is_text and random.random() < 0.3 else "utf-8"
    texts = _texts(random, kind, encoding)
    data = _WRITERS[kind](random, texts)
    if encoding != "utf-8":
        data = data.decode().encode(encoding)
    file = RandomFile(f"x.{kind}", data, tuple(texts))
    if encoding in MARKS:
        file = replace(file, mark=encoding)
    elif encoding != "utf-8":
        unnamed = replace(file, told=Told.COUNTED, harm=f"in {encoding}, which is not named")
        file = replace(file, encoding=encoding) if random.random() < 0.7 else unnamed
    if kind in random_documents.ZIPPED:
        file = replace(file, is_plain=False)
    # Tables hold what repeats only once.
    return replace(file, is_plain=False) if kind in TABLES else _compressed(random, file)


def _compressed(random: Random, file: RandomFile) -> RandomFile:
    ending = random.choice(("", *COMPRESSIONS))
    if not ending:
        return file
    data = COMPRESSIONS[ending](file.data)
    return replace(file, name=file.name + ending, data=data, is_plain=False)


def _archive(random: Random, kind: str, kinds: Sequence[str]) -> RandomFile:
    members: list[RandomFile] = []
    while len(members) < random.randint(1, 4):
        member = _file(random, random.choice(kinds))
        if member.encoding == "auto":
            members.append(member)
    told = Told.COUNTED if any(each.harm for each in members) else Told.WHOLE
    if random.random() < 0.1:
        texts = _texts(random, "jsonl")
        inner = _zip(random, {"x.jsonl": _jsonl(random, texts)})
        members.append(RandomFile("x.zip", inner, tuple(texts), is_plain=False))
        told = Told.COUNTED
    named = {f"{number}{each.name}": each.data for number, each in enumerate(members)}
    data = _zip(random, named) if kind == "zip" else tarred(named)
    known = tuple(text for each in members for text in each.texts)
    is_plain = kind == "tar" and all(each.is_plain for each in members)
    file = RandomFile(f"x.{kind}", data, known, told, is_plain)
    return file if kind == "zip" else _compressed(random, file)


def _jsonl(random: Random, texts: Sequence[str]) -> bytes:
    ascii_only = random.random() < 0.5
    lines = (json.dumps({"text": text}, ensure_ascii=ascii_only) + "\n" for text in texts)
    return "".join(lines).encode()


def _json(random: Random, texts: Sequence[str]) -> bytes:
    return json.dumps([{"text": text} for text in texts], indent=random.choice((None, 1))).encode()


def _csv(random: Random, texts: Sequence[str]) -> bytes:
    file = io.StringIO(newline="")
    ending = random.choice(("\n", "\r\n"))
    rows = [("text", "n"), *((text, str(number)) for number, text in enumerate(texts))]
    csv.writer(file, lineterminator=ending).writerows(rows)
    return file.getvalue().encode()


def _tsv(random: Random, texts: Sequence[str]) -> bytes:
    rows = (f"{text}\t{number}\n" for number, text in enumerate(texts))
    return ("text\tn\n" + "".join(rows)).encode()


def _txt(random: Random, texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _md(random: Random, texts: Sequence[str]) -> bytes:
    return "".join(texts).encode()


def _html(random: Random, texts: Sequence[str]) -> bytes:
    (text,) = texts
    return f"<!DOCTYPE html><html><body><main><p>{escape(text)}</p></main></body></html>".encode()


def _warc(random: Random, texts: Sequence[str]) -> bytes:
    records = []
    for text in map(str.encode, texts):
        head = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://x.y/z\r\n"
        head += f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        records.append(head.encode() + text + b"\r\n\r\n")
    return b"".join(records)


def _xml(random: Random, texts: Sequence[str]) -> bytes:
    pages = []
    for text in texts:
        title, _, wikitext = text.partition("\n\n")
        pages.append(
            f"<page><title>{title}</title><ns>0</ns><id>1</id><revision><text>{escape(wikitext)}"
            "</text></revision></page>\n"
        )
    return f"<mediawiki xml:lang='en'>\n{''.join(pages)}</mediawiki>\n".encode()


def _parquet(random: Random, texts: Sequence[str]) -> bytes:
    sink = pa.BufferOutputStream()
    rows = random.choice((3, 1000))
    pq.write_table(
        pa.table({"text": texts}),
        sink,
        row_group_size=rows,
        compression=random.choice(("none", "snappy", "zstd")),
        write_page_index=random.random() < 0.5,
        write_page_checksum=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _arrow(random: Random, texts: Sequence[str]) -> bytes:
    sink, table = pa.BufferOutputStream(), pa.table({"text": texts})
    new = random.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=random.choice((2, 1000)))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _zip(random: Random, members: dict[str, bytes]) -> bytes:
    compression = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    return zipped_always_alike(members, compression)


_WRITERS: dict[str, Callable[[Random, Sequence[str]], bytes]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": _tsv,
    "txt": _txt,
    "md": _md,
    "html": _html,
    "warc": _warc,
    "xml": _xml,
    "parquet": _parquet,
    "arrow": _arrow,
    **random_documents.WRITERS,
}
Make = Callable[[], RandomFile]


def _leave(random: Random, make: Make) -> RandomFile:
    return make()


def _cut(random: Random, make: Make) -> RandomFile:
    file = make()
    stop = random.randrange(1, len(file.data))
    told = Told.COUNTED
    if not file.is_checked and file.kind in (*LINES, *WHOLE, *MESSAGES, "warc"):
        told = Told.NOTHING if file.kind in ("txt", *WHOLE, *MESSAGES) else Told.SHORTER
    return replace(file, data=file.data[:stop], told=told, harm=f"{file.harm} cut at {stop}")


def _double(random: Random, make: Make) -> RandomFile:
    """Another file of the kind behind it."""
    file = make()
    other = make()
    while (other.name, other.encoding, other.mark) != (file.name, file.encoding, file.mark):
        other = make()
    told = Told.WHOLE if file.kind in JOINABLE else Told.COUNTED
    if Told.COUNTED in (file.told, other.told):
        told = Told.COUNTED
    # What was a header is a row now, and a mark the beginning of a line of text.
    if file.kind in ("csv", "tsv", "eml", *WHOLE) or (file.kind == "txt" and file.mark):
        told = Told.NOTHING
    return replace(
        file,
        data=file.data + other.data,
        texts=file.texts + other.texts,
        told=told,
        is_plain=file.is_plain and other.is_plain,
        harm=f"{file.harm} doubled",
    )


def _append(random: Random, make: Make) -> RandomFile:
    """Bytes behind it that are no text."""
    file = make()
    # Half of a surrogate pair first: else as many bytes as characters have may be text in UTF-16.
    rubbish = b"\0\xdf\xff" + random.randbytes(random.randint(0, 299))
    return replace(
        file,
        data=file.data + rubbish,
        told=Told.COUNTED,
        harm=f"{file.harm} with {len(rubbish)} bytes appended",
    )


def _misname(random: Random, make: Make) -> RandomFile:
    """Named as what its first bytes say it is not."""
    file = make()
    if file.kind == "arrow" and not file.data.startswith(b"ARROW1"):
        return file  # a stream has no beginning of its own
    if file.kind in (*TABLES, *random_documents.ZIPPED, "zip", "tar"):
        name = random.choice(("x.zip", "x.jsonl", "x.parquet", "x.tar", "x.csv.gz"))
    else:
        name = f"x.{file.kind}{random.choice(('', *COMPRESSIONS))}"
    return replace(file, name=name, harm=f"{file.harm} was {file.name}")


def _hole(random: Random, make: Make) -> RandomFile:
    file = make()
    start, size = random.randrange(1, len(file.data)), random.randint(1, 50)
    return replace(
        file,
        data=file.data[:start] + file.data[start + size :],
        told=Told.COUNTED if file.is_checked else Told.NOTHING,
        harm=f"{file.harm} without {size} bytes from {start} on",
    )


def _change(random: Random, make: Make) -> RandomFile:
    """Some bytes are others; where they are, the file is as long as before."""
    file = make()
    start, size = random.randrange(1, len(file.data)), random.randint(1, 8)
    other = bytes(byte ^ random.randint(1, 255) for byte in file.data[start : start + size])
    is_checked = file.is_checked or file.kind == "parquet"
    return replace(
        file,
        data=file.data[:start] + other + file.data[start + size :],
        told=Told.COUNTED if is_checked else Told.NOTHING,
        harm=f"{file.harm} with {len(other)} other bytes from {start} on",
    )
