"""Readers: the same texts from every format, whole or in pieces."""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment
from corpusmill.tasks.ingestion.readers.formats import format_of
from corpusmill.tasks.ingestion.readers.reading import cut, read
from corpusmill.tasks.ingestion.readers.sanitizer import BATCH_ROWS
from tests.archived import zipped
from tests.readings import (
    counts_of,
    flaw_of,
    flaws_in,
    items_of,
    places_in,
    real,
    source_file,
    texts_in,
    texts_of,
)

TEXTS = ["One.\nTwo.", "三 四", "five\u2028six", "seven"]


def _jsonl(newline: str = "\n") -> bytes:
    lines = (json.dumps({"text": text}, ensure_ascii=False) + newline for text in TEXTS)
    return "".join(lines).encode()


def _bytes(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return write


def _csv() -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["n", "text"], *enumerate(TEXTS)])
    return file.getvalue().encode()


def _parquet(column: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": column}), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _arrow(opener: Callable[..., pa.RecordBatchFileWriter]) -> bytes:
    table = pa.table({"n": [1, 2, 3, 4], "text": TEXTS})
    sink = pa.BufferOutputStream()
    with opener(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


FORMATS = [
    _bytes("x.jsonl", _jsonl),
    _bytes("x.ndjson", lambda: codecs.BOM_UTF8 + b"\r\n" + _jsonl("\r\n").rstrip()),
    _bytes("x.jsonl", lambda: _jsonl("\r")),
    # Two members, as concatenated files have.
    _bytes("x.jsonl.gz", lambda: gzip.compress(_jsonl()[:50]) + gzip.compress(_jsonl()[50:])),
    _bytes("x.jsonl.bz2", lambda: bz2.compress(_jsonl()[:50]) + bz2.compress(_jsonl()[50:])),
    _bytes("x.JSONL.XZ", lambda: lzma.compress(_jsonl()[:50]) + lzma.compress(_jsonl()[50:])),
    _bytes(
        "x.jsonl.zst",
        lambda: zstandard.compress(_jsonl()[:50]) + zstandard.compress(_jsonl()[50:]),
    ),
    _bytes("x.json", lambda: json.dumps([{"text": text} for text in TEXTS], indent=1).encode()),
    _bytes("x.json", _jsonl),
    _bytes("x.json", lambda: b"\n\n".join(_jsonl().splitlines())),
    _bytes("x.csv", _csv),
    _bytes("x.csv.gz", lambda: gzip.compress(_csv())),
    _bytes("x.parquet", lambda: _parquet(pa.array(TEXTS))),
    _bytes("x.parquet", lambda: _parquet(pa.array(TEXTS).dictionary_encode())),
    _bytes("x.PARQUET", lambda: _parquet(pa.array(TEXTS, pa.large_string()))),
    _bytes("x.parquet", lambda: _parquet(pa.array([t.encode() for t in TEXTS], pa.binary()))),
    _bytes("x.arrow", lambda: _arrow(pa.ipc.new_file)),
    _bytes("x.arrow", lambda: _arrow(pa.ipc.new_stream)),
    _bytes("x.zip", lambda: zipped({"x.parquet": _parquet(pa.array(TEXTS))})),
]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same_texts(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    assert texts_of(write(tmp_path)) == TEXTS


def test_archives_are_read_member_by_member(tmp_path: Path) -> None:
    file = io.BytesIO()
    members = {"a.jsonl": _jsonl(), "note.doc": b"no", "b.txt.gz": gzip.compress(b"eight")}
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (tmp_path / "x.tgz").write_bytes(file.getvalue())
    assert counts_of(tmp_path / "x.tgz") == {"text": 5, "not_read": 1}
    items = items_of(tmp_path / "x.tgz")
    assert texts_in(items) == [*TEXTS, "eight"]
    files = [item.file for item in items if isinstance(item, DocumentBatch)]
    assert files == ["x.tgz/a.jsonl", "x.tgz/b.txt.gz"]


def test_a_flaw_in_an_archive_names_the_member(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zipped({"a.jsonl": b'{"text": 1}\n', "b.txt": b"b"}))
    assert flaw_of(tmp_path / "x.zip").place == "a.jsonl, line 1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.jsonl.gz", ("jsonl", "gz")),
        ("A.TXT", ("text", "")),
        ("x.tgz", ("tar", "gz")),
        ("x.tar.zst", ("tar", "zst")),
        ("wiki.xml.bz2", ("wikipedia", "bz2")),
        ("x.warc.gz", ("warc", "gz")),
        ("x.gz", None),
        ("x.docx", ("docx", "")),
        ("x.doc", None),
        ("parquet", None),
        ("x.parquet.gz", None),
    ],
)
def test_a_name_tells_the_format(name: str, expected: tuple[str, str] | None) -> None:
    found = format_of(name)
    assert (found and (found.kind, found.compression)) == expected


def test_markdown_is_one_document_with_its_front_matter(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text("---\ntitle: a\n---\n\n# b\n")
    assert texts_of(tmp_path / "x.md", text_unit="line") == ["---\ntitle: a\n---\n\n# b\n"]


def test_paragraphs_are_parted_by_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n\na\nb\n \t\n\u3000\n\n  c\n")
    items = items_of(tmp_path / "x.txt", text_unit="paragraph")
    assert texts_in(items) == ["a\nb", "  c"]
    assert places_in(items) == ["line 3", "line 8"]


def test_paragraphs_do_not_depend_on_where_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n" + "\n\n".join(f"{n}\n{n}" for n in range(50)) + "\n\n\nlast"
    (tmp_path / "x.txt").write_text(text)
    whole = items_of(tmp_path / "x.txt", text_unit="paragraph")
    for chunk in (1, 2, 3, 7):
        monkeypatch.setattr("corpusmill.tasks.ingestion.streams.CHUNK", chunk)
        parts = items_of(tmp_path / "x.txt", text_unit="paragraph")
        assert texts_in(parts) == texts_in(whole)
        assert places_in(parts) == places_in(whole)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_newline(tmp_path: Path, newline: str) -> None:
    (tmp_path / "x.txt").write_bytes(newline.join(["a", "b", "", "c"]).encode())
    assert texts_of(tmp_path / "x.txt", text_unit="line") == ["a", "b", "", "c"]


# Fragments


@pytest.mark.parametrize("fragment_bytes", [1, 7, 20, 21, 1000])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_pieces_of_lines_meet_without_gap_or_overlap(
    tmp_path: Path, fragment_bytes: int, ending: str
) -> None:
    lines = [json.dumps({"text": "x" * (n % 9), "n": n}) for n in range(40)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + ending)
    (tmp_path / "x.txt").write_text("\n".join(lines) + ending)
    expected = ["x" * (n % 9) for n in range(40)]
    assert texts_in(items_of(tmp_path / "x.jsonl", fragment_bytes)) == expected
    assert texts_in(items_of(tmp_path / "x.txt", fragment_bytes, text_unit="line")) == lines


def test_a_place_in_a_later_piece_counts_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n' * 10 + '{"text": "b"}\n{"text": 1}\n')
    (flaw,) = flaws_in(items_of(path, 100))
    assert flaw.place == "after byte 112, line 4"
    assert path.read_bytes()[112:].splitlines()[3] == b'{"text": 1}'


def test_a_piece_decodes_as_its_file_does(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(
        "他们是在这里的人，不是别人。\n".encode("gb18030") * 9 + "目\n".encode("gb18030")
    )
    whole, parts = items_of(path, text_unit="line"), items_of(path, 40, text_unit="line")
    assert texts_in(whole) == texts_in(parts)
    assert texts_in(parts)[-1] == "目"


def test_files_that_cannot_be_cut_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("a\nb\n".encode("utf-16") * 99)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(_jsonl()))
    for name in ("x.txt", "x.jsonl.gz"):
        file = source_file(tmp_path / name, text_unit="line")
        assert cut(file, 10) == [Fragment(file)]


def test_tables_are_cut_between_row_groups_and_batches(tmp_path: Path) -> None:
    table = pa.table({"text": [f"{n} " * 20 for n in range(1000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=100, compression="none")
    with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=100)
    for name in ("x.parquet", "x.arrow"):
        fragments = cut(source_file(tmp_path / name), 20_000)
        assert 3 <= len(fragments) <= 5
        assert sum(fragment.bytes for fragment in fragments) <= (tmp_path / name).stat().st_size
        items = [item for fragment in fragments for item in read(fragment, CorpusConfig())]
        assert texts_in(items) == table["text"].to_pylist()
        assert places_in(items) == [f"row {row}" for row in range(1000)]


# Many and large


def test_a_million_empty_documents_come_in_full_blocks(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": ""}\n' * 1_000_000)
    (tmp_path / "x.txt").write_bytes(b"\n" * 1_000_000)
    for items in (items_of(tmp_path / "x.jsonl"), items_of(tmp_path / "x.txt", text_unit="line")):
        sizes = [len(item) for item in items if isinstance(item, DocumentBatch)]
        assert len(items) == len(sizes) < 100
        assert sum(sizes) == 1_000_000
        assert max(sizes) <= BATCH_ROWS


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_line_that_is_too_long_costs_itself_only(tmp_path: Path, name: str) -> None:
    data = b'{"text": "a"}\n{"text": "' + b"x" * (18 << 20) + b'"}\n{"text": "b"}\n'
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    items = items_of(tmp_path / name, max_document_bytes=1000)
    assert texts_in(items) == ["a", "b"]
    (flaw,) = flaws_in(items)
    assert (flaw.reason, flaw.place) == ("too_long", "line 2")


@pytest.mark.parametrize(
    ("name", "unit"), [("x.txt", "file"), ("x.txt", "line"), ("x.txt", "paragraph")]
)
def test_a_document_has_no_more_bytes_than_configured(tmp_path: Path, name: str, unit: str) -> None:
    (tmp_path / name).write_text("三" * 5)
    assert counts_of(tmp_path / name, text_unit=unit, max_document_bytes=15) == {"text": 1}
    assert counts_of(tmp_path / name, text_unit=unit, max_document_bytes=14) == {"too_long": 1}


# The hostile files


def test_the_variants_that_are_sound_agree() -> None:
    folder = real("format_variants")
    names = (
        "docs.jsonl docs.jsonl.gz docs.jsonl.bz2 docs.jsonl.xz docs.jsonl.zst docs.json docs.csv "
        "docs.tsv docs.snappy.parquet docs.zstd.parquet docs_crlf.jsonl docs_utf8_bom.jsonl "
        "docs_no_final_newline.jsonl"
    )
    # pandas wrote the .tsv, with quotation marks around fields of several lines.
    texts = [
        texts_of(folder / name, quoted="csv" in name or "tsv" in name) for name in names.split()
    ]
    assert len(texts[0]) == 60
    assert all(other == texts[0] for other in texts[1:])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("gz_truncated.jsonl.gz", {"text": 59, "truncated": 1}),
        ("mixed_bad_lines.jsonl", {"text": 8, "bad_json": 2, "no_text": 3, "bad_encoding": 1}),
        ("nul_bytes.txt", {"bad_encoding": 1}),
        ("truncated_utf8.txt", {"bad_encoding": 1}),
        ("en_latin1.txt", {"text": 1, "decoded.cp1252": 1}),
        ("en_utf16.txt", {"text": 1, "decoded.utf-16-le": 1}),
        ("zh_big5_replace.txt", {"text": 1, "decoded.big5hkscs": 1}),
        ("zh_gb18030.txt", {"text": 1, "decoded.gb18030": 1}),
        ("empty.txt", {"text": 1}),
        ("whitespace_only.txt", {"text": 1}),
        ("one_long_line.txt", {"text": 1}),
        ("doc.md", {"text": 1}),
        ("page.html", {"text": 1}),
    ],
)
def test_the_other_variants_are_read_or_counted(name: str, counts: dict[str, int]) -> None:
    assert counts_of(real("format_variants") / name) == counts


def test_naughty_strings_come_through_unchanged(tmp_path: Path) -> None:
    strings = json.loads((real("blns") / "blns.json").read_text(encoding="utf-8"))
    expected = [text.replace("\r\n", "\n").replace("\r", "\n") for text in strings]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in strings)
    (tmp_path / "x.jsonl").write_text(lines)
    assert texts_of(tmp_path / "x.jsonl") == expected
