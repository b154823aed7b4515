"""Streams: every compression in bounded memory, and all that comes before the damage."""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from corpusmill.tasks.ingestion import streams
from corpusmill.tasks.ingestion.streams import ChunkStream, DamageError, decompressed, file_chunks
from tests.readings import counts_of, flaw_of

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
LINES = [json.dumps({"text": os.urandom(30).hex()}).encode() + b"\n" for _ in range(3_000)]
DATA = b"".join(LINES)


@pytest.fixture(params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setitem(streams._DECOMPRESSORS, "gz", streams._Gzip)


@pytest.mark.parametrize("compression", COMPRESS)
def test_what_was_compressed_comes_back(compression: str, inflater: None) -> None:
    whole = COMPRESS[compression](DATA)
    parts = COMPRESS[compression](DATA[:1000]) + COMPRESS[compression](DATA[1000:])
    for data in (whole, parts):
        chunks = list(decompressed(io.BytesIO(data), compression))
        assert b"".join(chunks) == DATA
        assert max(map(len, chunks)) < 2 * streams.CHUNK
    assert list(decompressed(io.BytesIO(b""), compression)) == []


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_zeros_may_pad_a_member(compression: str, inflater: None) -> None:
    member = COMPRESS[compression](b"ab")
    data = member + bytes(100_000) + member + bytes(4)
    assert b"".join(decompressed(io.BytesIO(data), compression)) == b"abab"


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_cut_file_gives_the_lines_before_the_damage(
    tmp_path: Path, compression: str, inflater: None
) -> None:
    data = COMPRESS[compression](DATA)
    path = tmp_path / f"x.jsonl.{compression}"
    path.write_bytes(data[: len(data) * 3 // 4])
    counts = counts_of(path)
    # bzip2 has blocks of 900 kB, zstd of 128 kB.
    assert counts.get("text", 0) >= (0 if compression in {"bz2", "zst"} else 2_000)
    assert counts["truncated"] == 1
    assert f"expected a whole .{compression} file" in flaw_of(path).finding


def test_a_wrong_checksum_is_a_flaw(tmp_path: Path, inflater: None) -> None:
    data = gzip.compress(DATA)
    (tmp_path / "x.jsonl.gz").write_bytes(data[:-8] + bytes(4) + data[-4:])
    assert counts_of(tmp_path / "x.jsonl.gz")["damaged"] == 1


@pytest.mark.parametrize("name", ["x.csv.gz", "x.json.gz", "x.txt.gz"])
def test_every_text_reader_keeps_what_came_before_the_damage(tmp_path: Path, name: str) -> None:
    rows = [f"{n},{os.urandom(20).hex()}" for n in range(3000)]
    text = "\n".join(["n,text", *rows])
    if "json" in name:
        text = json.dumps([{"text": row} for row in rows])
    (tmp_path / name).write_bytes(gzip.compress(text.encode())[:-2000])
    counts = counts_of(tmp_path / name, text_unit="line")
    assert counts["text"] > 2500
    assert counts["truncated"] == 1
    assert set(counts) == {"text", "truncated"}


@pytest.mark.parametrize("name", ["x.txt.gz", "x.md.gz", "x.html.gz"])
def test_a_document_that_is_cut_off_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(DATA)[:-2000])
    assert counts_of(tmp_path / name) == {"truncated": 1}


@pytest.mark.parametrize("compression", ["zst", "bz2", "xz"])
def test_a_bomb_is_left_after_what_it_gave(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BOMB_BYTES", 8 << 20)
    data = COMPRESS[compression](bytes(32 << 20))
    given = 0
    with pytest.raises(DamageError) as caught:
        for chunk in decompressed(io.BytesIO(data), compression):
            given += len(chunk)
    assert caught.value.flaw.reason == "bomb"
    assert 8 << 20 < given <= 32 << 20


def test_what_compresses_well_is_no_bomb_below_a_gigabyte() -> None:
    data = zstandard.compress(bytes(32 << 20))
    assert sum(map(len, decompressed(io.BytesIO(data), "zst"))) == 32 << 20


@pytest.mark.parametrize(("bits", "reason"), [(28, None), (31, None), (32, "large_window")])
def test_a_long_window_is_read_or_called_so(tmp_path: Path, bits: int, reason: str | None) -> None:
    # RFC 8878, 3.1.1: magic number, no content size, the exponent of the window; one raw block.
    line = b'{"text": "a"}\n'
    block = (len(line) << 3 | 1).to_bytes(3, "little") + line
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([bits - 10 << 3]) + block)
    assert counts_of(path) == ({reason: 1} if reason else {"text": 1})
    if reason:
        assert "(zstd --long=27)" in flaw_of(path).remedy


def test_a_line_of_a_gigabyte_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    tens = gzip.compress(b"x" * 10_000_000, 1)
    first, last = b'{"text": "a"}\n{"text": "', b'"}\n{"text": "b"}\n'
    path.write_bytes(gzip.compress(first) + 100 * tens + gzip.compress(last))
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.readings import counts_of\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "assert counts_of(Path(sys.argv[1])) == {'text': 2, 'too_long': 1}\n"
        "print((peak() - before) // 1024)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 300


def test_an_unreadable_file_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(file_chunks(tmp_path / "no.gz"))
    with pytest.raises(IsADirectoryError):
        list(file_chunks(tmp_path))


def test_a_stream_of_chunks_gives_all_before_an_error() -> None:
    data = gzip.compress(DATA)
    stream = ChunkStream(decompressed(io.BytesIO(data[:-2000]), "gz"))
    given = b""
    with pytest.raises(DamageError):
        while chunk := stream.read(100_000):
            given += chunk
    assert DATA.startswith(given)
    assert len(given) > len(DATA) - 20_000
    assert ChunkStream([b"ab", b"c", b"def"]).read(4) == b"abcd"
    assert ChunkStream([b"ab", b"c", b"def"]).read() == b"abcdef"
