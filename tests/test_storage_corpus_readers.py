"""Readers: the same texts from every format, and a flaw in the place of what cannot be read."""

import codecs
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.corpus.candidates import Candidate, Flaw
from storage.corpus.config import CorpusConfig, resolve
from storage.corpus.readers.everything import read
from storage.errors import CorpusError

TEXTS = ["One.\nTwo.", "三 四", "five\u2028six", "seven"]
VARIANTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "format_variants"


@pytest.fixture
def variants() -> Path:
    if not VARIANTS.is_dir():
        pytest.skip("the folder format_variants with broken files is not beside the checkout")
    return VARIANTS


def _read(path: Path, **fields: Any) -> list[Candidate | Flaw]:
    config = CorpusConfig(sources=(str(path),), **fields)
    return [item for source in resolve(config.sources) for item in read(source, config)]


def _texts(path: Path, **fields: Any) -> list[str]:
    items = _read(path, **fields)
    assert not [item for item in items if isinstance(item, Flaw)]
    return [item.text for item in items if isinstance(item, Candidate)]


def _reasons(path: Path, **fields: Any) -> Counter[str]:
    return Counter(
        item.reason if isinstance(item, Flaw) else "text" for item in _read(path, **fields)
    )


def _flaw(path: Path, **fields: Any) -> Flaw:
    return next(item for item in _read(path, **fields) if isinstance(item, Flaw))


def _jsonl(newline: str = "\n") -> bytes:
    lines = (json.dumps({"text": text}, ensure_ascii=False) + newline for text in TEXTS)
    return "".join(lines).encode()


def _write_parquet(path: Path, column: pa.Array, name: str = "text") -> Path:
    pq.write_table(pa.table({name: column}), path)
    return path


def _as_jsonl(path: Path) -> Path:
    (path / "x.jsonl").write_bytes(_jsonl())
    return path / "x.jsonl"


def _as_windows_jsonl(path: Path) -> Path:
    (path / "x.jsonl").write_bytes(codecs.BOM_UTF8 + b"\r\n" + _jsonl("\r\n").rstrip())
    return path / "x.jsonl"


def _as_gzip(path: Path) -> Path:
    data = _jsonl()
    # Two members, as concatenated .gz files have.
    (path / "x.jsonl.gz").write_bytes(gzip.compress(data[:50]) + gzip.compress(data[50:]))
    return path / "x.jsonl.gz"


def _as_parquet(path: Path) -> Path:
    return _write_parquet(path / "x.parquet", pa.array(TEXTS))


def _as_dictionary_parquet(path: Path) -> Path:
    return _write_parquet(path / "x.parquet", pa.array(TEXTS).dictionary_encode())


def _as_large_parquet(path: Path) -> Path:
    return _write_parquet(path / "x.PARQUET", pa.array(TEXTS, pa.large_string()))


def _as_files(path: Path) -> Path:
    for number, text in enumerate(TEXTS):
        (path / f"{number}.txt").write_bytes(text.replace("\n", "\r\n").encode())
    return path


def _as_gzip_files(path: Path) -> Path:
    for number, text in enumerate(TEXTS):
        (path / f"{number}.txt.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    return path


@pytest.mark.parametrize(
    "write",
    [
        _as_jsonl,
        _as_windows_jsonl,
        _as_gzip,
        _as_parquet,
        _as_dictionary_parquet,
        _as_large_parquet,
        _as_files,
        _as_gzip_files,
    ],
)
def test_every_format_gives_the_same_texts(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    assert _texts(write(tmp_path)) == TEXTS


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("unit", ["file", "line", "paragraph"])
def test_other_encodings_are_read_in_every_unit(tmp_path: Path, encoding: str, unit: str) -> None:
    (tmp_path / "x.txt").write_bytes("一\r\n\r\n二".encode(encoding))
    expected = {"file": ["一\n\n二"], "line": ["一", "", "二"], "paragraph": ["一", "二"]}
    assert _texts(tmp_path / "x.txt", encoding=encoding, text_unit=unit) == expected[unit]


def test_paragraphs_are_parted_by_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n\na\nb\n \t\n\n\n  c\n")
    assert _texts(tmp_path / "x.txt", text_unit="paragraph") == ["a\nb", "  c"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_newline(tmp_path: Path, newline: str) -> None:
    (tmp_path / "x.txt").write_bytes(newline.join(["a", "b", "", "c"]).encode())
    assert _texts(tmp_path / "x.txt", text_unit="line") == ["a", "b", "", "c"]


def test_the_text_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"body": "b", "text": 1}')
    path = _write_parquet(tmp_path / "y.parquet", pa.array(["c"]), "body")
    assert _texts(tmp_path / "x.jsonl", text_field="body") == ["b"]
    assert _texts(path, text_field="body") == ["c"]


# What cannot be read


@pytest.mark.parametrize(
    ("line", "reason", "finding"),
    [
        (b'{"text": "a', "bad_json", "Unterminated string"),
        (b"[" * 100_000, "bad_json", "no JSON value"),
        (b"[1]", "bad_json", "a JSON list"),
        (b'{"txt": "a", "n": 1}', "no_text", "missing, expected a string (fields: txt, n)"),
        (b'{"text": null}', "no_text", "of type NoneType"),
        (b'{"text": "\xff"}', "bad_encoding", "the byte 0xff (invalid start byte), expected utf-8"),
        (b'{"text": "\\ud83d"}', "bad_encoding", "half of a surrogate pair"),
        (b'{"text": "a\\u0000"}', "bad_encoding", "a NUL at character 1"),
    ],
)
def test_a_bad_line_costs_itself_only(
    tmp_path: Path, line: bytes, reason: str, finding: str
) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    first, flaw, last = _read(tmp_path / "x.jsonl")
    assert isinstance(first, Candidate)
    assert isinstance(last, Candidate)
    assert isinstance(flaw, Flaw)
    assert flaw.reason == reason
    assert finding in flaw.finding
    assert flaw.place.startswith("line 2")
    assert last.place == "line 3"


def test_a_bad_byte_is_placed_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("é\nab\n".encode() + b"c\xff\n\nd\n")
    assert _flaw(tmp_path / "x.txt").place == "byte 7"
    assert _flaw(tmp_path / "x.txt", text_unit="line").place == "line 3, byte 7"
    assert _reasons(tmp_path / "x.txt", text_unit="line") == {"text": 4, "bad_encoding": 1}
    assert _reasons(tmp_path / "x.txt", text_unit="paragraph") == {"text": 1, "bad_encoding": 1}


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        ("他们是在这里的人，不是别人。".encode("gb18030"), "to gb18030, which"),
        ("他們是在這裡的人，不是別人。".encode("big5"), "to big5, which"),
        ("Café déjà vu".encode("latin-1"), "to latin-1, which"),
        ("plain".encode("utf-16"), "to utf-16, which"),
        ("plain".encode("utf-32"), "to utf-32, which"),
        ("caf\u00e9 caf".encode() + b"\xe9 more", "mend the bytes"),
        ("文字".encode()[:-1], "mend the bytes"),
    ],
)
def test_the_remedy_names_an_encoding_that_may_fit(
    tmp_path: Path, data: bytes, remedy: str
) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert remedy in _flaw(tmp_path / "x.txt").remedy


def test_a_gzip_file_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": os.urandom(30).hex()}).encode() + b"\n" for _ in range(99))
    data = gzip.compress(lines)
    (tmp_path / "cut.jsonl.gz").write_bytes(data[:-300])
    reasons = _reasons(tmp_path / "cut.jsonl.gz")
    assert reasons["truncated"] == 1
    assert 85 < reasons["text"] < 99
    (tmp_path / "flipped.jsonl.gz").write_bytes(data[:-8] + bytes(4) + data[-4:])
    assert _reasons(tmp_path / "flipped.jsonl.gz")["truncated"] == 1
    (tmp_path / "no.jsonl.gz").write_bytes(lines)
    assert _reasons(tmp_path / "no.jsonl.gz") == {"truncated": 1}
    (tmp_path / "no.txt.gz").write_bytes(lines)
    assert _reasons(tmp_path / "no.txt.gz") == {"truncated": 1}


def test_a_utf16_file_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("a\nb\n".encode("utf-16-le") + b"\x00\xd8x\x00\n\x00")
    reasons = _reasons(tmp_path / "x.txt", text_unit="line", encoding="utf-16-le")
    assert reasons["bad_encoding"] == 1


def test_rows_of_a_table_may_be_flawed(tmp_path: Path) -> None:
    invalid = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")
    )
    column = pa.chunked_array([invalid, pa.array([None, "c"])])
    path = _write_parquet(tmp_path / "x.parquet", column)
    places = [(item.place, getattr(item, "reason", "")) for item in _read(path)]
    flawed = [("row 1", "bad_encoding"), ("row 3", "no_text")]
    assert places == [("row 0", ""), flawed[0], ("row 2", ""), flawed[1], ("row 4", "")]


def test_a_table_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path / "x.parquet", pa.array([1]), "number")
    with pytest.raises(CorpusError, match="has no column 'text', only number; set"):
        _read(path)
    with pytest.raises(CorpusError, match="is of type int64, expected strings"):
        _read(path, text_field="number")


def test_a_damaged_table_is_a_sentence(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path / "x.parquet", pa.array([os.urandom(500).hex()] * 500))
    data = path.read_bytes()
    for damaged in (b"", data[:100], data[:-10], bytes(200) + data[200:], b"PAR1" * 9):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=r"x\.parquet is not a sound Parquet file"):
            _read(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = _as_jsonl(tmp_path)
    config = CorpusConfig(sources=(str(path),))
    (source,) = resolve(config.sources)
    items = read(source, config)
    next(items)
    path.write_bytes(_jsonl() + b'{"text": "more"}\n')
    with pytest.raises(CorpusError, match="changed while it was read"):
        list(items)


def test_a_file_that_goes_away_is_a_sentence(tmp_path: Path) -> None:
    path = _as_jsonl(tmp_path)
    config = CorpusConfig(sources=(str(path),))
    (source,) = resolve(config.sources)
    path.unlink()
    with pytest.raises(CorpusError, match="cannot be read"):
        list(read(source, config))


# The hostile files


def test_the_variants_that_are_sound_agree(variants: Path) -> None:
    names = (
        "docs.jsonl docs.jsonl.gz docs.snappy.parquet docs.zstd.parquet docs_crlf.jsonl "
        "docs_no_final_newline.jsonl docs_utf8_bom.jsonl"
    )
    texts = [_texts(variants / name) for name in names.split()]
    assert len(texts[0]) == 60
    assert all(other == texts[0] for other in texts[1:])


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("gz_truncated.jsonl.gz", {"text": 59, "truncated": 1}),
        ("mixed_bad_lines.jsonl", {"text": 8, "bad_json": 2, "no_text": 3, "bad_encoding": 1}),
        ("nul_bytes.txt", {"bad_encoding": 1}),
        ("truncated_utf8.txt", {"bad_encoding": 1}),
        ("en_latin1.txt", {"bad_encoding": 1}),
        ("en_utf16.txt", {"bad_encoding": 1}),
        ("zh_big5_replace.txt", {"bad_encoding": 1}),
        ("zh_gb18030.txt", {"bad_encoding": 1}),
        ("empty.txt", {"text": 1}),
        ("whitespace_only.txt", {"text": 1}),
        ("one_long_line.txt", {"text": 1}),
    ],
)
def test_the_variants_that_are_broken_are_counted(
    variants: Path, name: str, reasons: dict[str, int]
) -> None:
    assert _reasons(variants / name) == reasons


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("en_latin1.txt", "latin-1"),
        ("en_utf16.txt", "utf-16"),
        ("zh_big5_replace.txt", "big5"),
        ("zh_gb18030.txt", "gb18030"),
    ],
)
def test_the_variants_in_other_encodings_are_recognised(
    variants: Path, name: str, encoding: str
) -> None:
    assert f"to {encoding}, which" in _flaw(variants / name).remedy
    assert len(_texts(variants / name, encoding=encoding)) == 1
