"""What is not read is counted in bytes, and what a file is, its first bytes say."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpusmill.storage.errors import CorpusError
from tests.archived import tarred, zipped
from tests.corpora import build, counts_of, write_jsonl
from tests.readings import counts_of as counted
from tests.readings import flaw_of, flaws_in, items_of, texts_in, texts_of

TEXTS = [f"text number {number}" for number in range(500)]


def _json(texts: list[str] = TEXTS) -> bytes:
    return json.dumps([{"text": text} for text in texts]).encode()


def _jsonl(texts: list[str] = TEXTS) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def _parquet(texts: list[str] = TEXTS, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink, **options)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _arrow(opener: Callable[..., pa.RecordBatchFileWriter], texts: list[str] = TEXTS) -> bytes:
    table = pa.table({"text": texts})
    sink = pa.BufferOutputStream()
    with opener(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


# What is lost


def test_nobody_knows_what_a_file_lost_whose_end_is_missing(tmp_path: Path) -> None:
    data = gzip.compress(_jsonl())
    (tmp_path / "x.jsonl.gz").write_bytes(data[: len(data) // 2])
    items = items_of(tmp_path / "x.jsonl.gz")
    (flaw,) = flaws_in(items)
    assert (flaw.reason, flaw.bytes) == ("truncated", None)
    kept = len(texts_in(items))
    assert 0 < kept < 500
    with pytest.raises(
        CorpusError, match=r"most of them in .*x.jsonl.gz of x.jsonl.gz \(after byte"
    ):
        build(tmp_path, tmp_path / "x.jsonl.gz")
    counts = counts_of(build(tmp_path, tmp_path / "x.jsonl.gz", max_unread=1))
    (file,) = counts["unread"]["files"]
    assert file["file"].endswith("x.jsonl.gz") and "fetch the file again" in file["detail"]
    assert file["doubtful"] == counts["bytes"]["in"] > 0
    write_jsonl(tmp_path / "more.jsonl", [f"{text} once more" for text in TEXTS * 50])
    assert build(tmp_path, tmp_path / "more.jsonl", tmp_path / "x.jsonl.gz")


def test_what_lies_after_the_damage_is_counted_in_bytes(tmp_path: Path) -> None:
    lines = [json.dumps({"text": bytes([n % 256]).hex() * 9 + str(n)}) for n in range(30_000)]
    text = "\n".join(lines).encode()
    data = bytearray(gzip.compress(text))
    middle = len(data) // 2
    data[middle : middle + 100] = b"\xff" * 100
    (tmp_path / "x.jsonl.gz").write_bytes(data)
    items = items_of(tmp_path / "x.jsonl.gz")
    read = sum(len(line) + 1 for line in lines[: len(texts_in(items))])
    lost = sum(flaw.bytes or 0 for flaw in flaws_in(items))
    assert read + lost == pytest.approx(len(text), rel=0.1)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_damage_in_a_small_file_costs_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(_jsonl())
    (tmp_path / "x.jsonl.gz").write_bytes(data[:100] + data[110:])
    flaws = flaws_in(items_of(tmp_path / "x.jsonl.gz"))
    assert flaws[-1].reason == "damaged"
    assert flaws[-1].bytes == len(data) - 10


@pytest.mark.parametrize(
    ("name", "data", "lost"),
    [
        ("x.jsonl", b'{"text": "a"}\n{"text": "b\n{"txt": "c"}\n{"text": null}\n', 11 + 12),
        ("x.json", b'[{"text": "a\\x"}, {"text": "b"}, {"txt": "c"}, 7]', 15 + 12 + 1),
        ("x.json", b'[{"text": "a"}, nonsense, {"text": "b"}]', 24),
        ("x.csv", b'n,text\n1,a\n2\n3,"b"c\n', 1 + 7),
        ("x.csv", b"n,body\n1,a\n", 11),
        ("x.txt", b"\x00\x01\x02", 3),
        ("x.txt", b"a" * 5000, 5000),
        ("x.html", b"a" * 5000, 5000),
        ("x.parquet", b"PAR1 is no table", 16),
        ("x.zip", b"no archive", 10),
        ("x.tar", b"no archive" * 2000, 20_000),
        ("x.xml", b"<html>no dump</html>", 20),
        ("x.warc", b"no record\nand none again\n", 25),
        ("x.zip", zipped({"a.jsonl": b'{"text": "a"}\n{"text": "b\n'}), 11),
        ("x.zip", zipped({"../a.txt": b"12345"}), 5),
        ("x.tar", tarred({"a.txt": b"\x00\x01"}), 2),
    ],
)
def test_a_flaw_says_how_many_bytes_it_costs(
    tmp_path: Path, name: str, data: bytes, lost: int
) -> None:
    (tmp_path / name).write_bytes(data)
    flaws = flaws_in(items_of(tmp_path / name, max_document_bytes=4000))
    assert sum(flaw.bytes or 0 for flaw in flaws) == lost
    assert all(flaw.bytes is not None for flaw in flaws)


def test_a_paragraph_that_is_too_long_is_counted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpusmill.tasks.ingestion.readers.lines.LINE_EXTRA", 0)
    monkeypatch.setattr("corpusmill.tasks.ingestion.streams.CHUNK", 16)
    long = "\n".join(f"line {n} of it" for n in range(9))
    (tmp_path / "x.txt").write_text(f"one\n\n{long}\n\ntwo\n")
    items = items_of(tmp_path / "x.txt", text_unit="paragraph", max_document_bytes=40)
    assert texts_in(items) == ["one", "two"]
    assert [flaw.bytes for flaw in flaws_in(items)] == [pytest.approx(len(long), abs=2)]


def test_one_bad_item_of_an_array_costs_itself_only(tmp_path: Path) -> None:
    data = _json().replace(b'text number 3"', b'C:\\x and {"')
    (tmp_path / "x.json").write_bytes(data)
    items = items_of(tmp_path / "x.json")
    assert texts_in(items) == [*TEXTS[:3], *TEXTS[4:]]
    assert [flaw.place for flaw in flaws_in(items)] == ["item 3"]


def test_what_could_not_be_read_is_refused_beyond_a_share(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(_jsonl() + b"nothing\n" * 20)
    corpus = build(tmp_path, tmp_path / "x.jsonl")
    counts = counts_of(corpus)
    assert counts["unread"] == {
        "documents": 20,
        "bytes": 140,
        "files": [
            {
                "source": "x.jsonl",
                "file": f"{tmp_path.name}/x.jsonl",
                "documents": 20,
                "bytes": 140,
                "doubtful": 0,
                "apart": False,
                "detail": "line 501: found no JSON value (Expecting value column 1), expected one "
                "object a line; mend the line",
            }
        ],
    }
    assert counts["bytes"]["in"] == sum(map(len, TEXTS)) + 140
    with pytest.raises(CorpusError, match=r"140 of .* bytes of text could not be read"):
        build(tmp_path, tmp_path / "x.jsonl", max_unread=0.01)


# What a file is


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl.gz", _jsonl()),
        ("x.jsonl.zst", gzip.compress(_jsonl())),
        ("x.jsonl", gzip.compress(_jsonl())),
        ("x.jsonl", zstandard.compress(_jsonl())),
        ("x.jsonl", bz2.compress(_jsonl())),
        ("x.jsonl", lzma.compress(_jsonl())),
        ("x.jsonl.gz", gzip.compress(gzip.compress(_jsonl()))),
        ("x.jsonl", _json()),
        ("x.jsonl.gz", gzip.compress(_json())),
        ("x.jsonl", json.dumps([{"text": text} for text in TEXTS], indent=1).encode()),
        ("x.jsonl", "\n".join(json.dumps({"text": t}, indent=1) for t in TEXTS).encode()),
        ("x.jsonl", json.dumps([{"text": text} for text in TEXTS]).encode("utf-16")),
        ("x.json", _jsonl()),
        ("x.json", _json(TEXTS[:9]) + _json(TEXTS[9:])),
        ("x.jsonl", _parquet()),
        ("x.parquet", _arrow(pa.ipc.new_file)),
        ("x.jsonl.gz", gzip.compress(_parquet())),
        ("x.jsonl", zipped({"a.jsonl": _jsonl()})),
        ("x.zip", tarred({"a.jsonl": _jsonl()})),
        ("x.tar", gzip.compress(tarred({"a.jsonl": _jsonl()}))),
        ("x.jsonl.gz", gzip.compress(zipped({"a.jsonl": _jsonl()}))),
        ("x.zip", zipped({"a.jsonl": gzip.compress(_jsonl())})),
        ("x.tar", tarred({"a.jsonl.gz": _jsonl()})),
        # One after the other.
        ("x.tar", tarred({"a.jsonl": _jsonl(TEXTS[:9])}) + tarred({"b.jsonl": _jsonl(TEXTS[9:])})),
        (
            "x.tgz",
            gzip.compress(tarred({"a.jsonl": _jsonl(TEXTS[:9])}))
            + gzip.compress(tarred({"b.jsonl": _jsonl(TEXTS[9:])})),
        ),
        ("x.zip", zipped({"a.jsonl": _jsonl(TEXTS[:9])}) + zipped({"b.jsonl": _jsonl(TEXTS[9:])})),
        (
            "x.arrow",
            _arrow(pa.ipc.new_stream, TEXTS[:9]) + _arrow(pa.ipc.new_stream, TEXTS[9:]),
        ),
        ("x.parquet", _parquet(write_page_index=True)),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert texts_of(tmp_path / name) == TEXTS


def test_a_misnamed_file_that_is_cut_up_is_read_whole(tmp_path: Path) -> None:
    for data in (_json(), gzip.compress(_jsonl()), _parquet()):
        (tmp_path / "x.jsonl").write_bytes(data)
        assert texts_in(items_of(tmp_path / "x.jsonl", fragment_bytes=1000)) == TEXTS


def test_lines_that_are_arrays_are_no_json_file(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('[{"text": "a"}]\n[{"text": "b"}]\n')
    assert counted(tmp_path / "x.jsonl") == {"bad_json": 2}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.parquet", 2 * _parquet()),
        ("x.parquet", _parquet(write_page_index=True) + _parquet(["a"], write_page_index=True)),
        ("x.arrow", 2 * _arrow(pa.ipc.new_file)),
    ],
)
def test_two_tables_in_one_file_are_a_flaw(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (flaw,) = flaws_in(items_of(tmp_path / name))
    assert "several files one after the other" in flaw.finding
    assert flaw.bytes == len(data)
    assert not texts_in(items_of(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "data", "lost"),
    [
        ("x.zip", b"#!/bin/sh stub" + zipped({"a.jsonl": _jsonl()}), 14),
        ("x.zip", zipped({"a.jsonl": _jsonl()}) + b"trailer", 7),
        ("x.tar", tarred({"a.jsonl": _jsonl()}) + b"trailer" * 9999, 7 * 9999),
        ("x.jsonl.gz", gzip.compress(_jsonl()) + b"trailer", None),
    ],
)
def test_what_lies_around_an_archive_is_counted(
    tmp_path: Path, name: str, data: bytes, lost: int | None
) -> None:
    (tmp_path / name).write_bytes(data)
    items = items_of(tmp_path / name)
    assert texts_in(items) == TEXTS
    (flaw,) = flaws_in(items)
    if lost:
        assert flaw.bytes == lost


def test_an_archive_within_an_archive_is_counted(tmp_path: Path) -> None:
    inner = zipped({"a.txt": b"x"})
    (tmp_path / "x.zip").write_bytes(zipped({"a.jsonl": inner}))
    flaw = flaw_of(tmp_path / "x.zip")
    assert (flaw.reason, flaw.bytes) == ("nested_archive", len(inner))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (
            "x.txt",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n",
            "pointer",
        ),
        (
            "x.jsonl",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n",
            "pointer",
        ),
        ("x.md", b"/annex/objects/SHA256E-s9--0a.md\n", "pointer"),
        ("x.txt", b"{\\rtf1\\ansi Hello}", "not_text"),
        ("x.txt", b"%!PS-Adobe-3.0\n(Hello) show\n", "not_text"),
    ],
)
def test_what_only_stands_for_a_text_is_none(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (flaw,) = flaws_in(items_of(tmp_path / name))
    assert (flaw.reason, flaw.bytes) == (reason, len(data))
