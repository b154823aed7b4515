"""Encodings: found and decoded, and bad bytes treated by the stated policy."""

from pathlib import Path

import pytest

from storage.corpus.encodings import encoding_of
from tests.readings import counts_of, flaw_of, items_of, places_in, texts_in, texts_of

SIMPLIFIED = "他们是在这里的人，不是别人。"
TRADITIONAL = "他們是在這裡的人，不是別人。"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("unit", ["file", "line", "paragraph"])
def test_other_encodings_are_read_in_every_unit(tmp_path: Path, encoding: str, unit: str) -> None:
    (tmp_path / "x.txt").write_bytes("一\r\n\r\n二".encode(encoding))
    expected = {"file": ["一\n\n二"], "line": ["一", "", "二"], "paragraph": ["一", "二"]}
    assert texts_of(tmp_path / "x.txt", encoding=encoding, text_unit=unit) == expected[unit]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        (SIMPLIFIED.encode(), "utf-8"),
        (SIMPLIFIED.encode("gb18030"), "gb18030"),
        (TRADITIONAL.encode("big5"), "big5"),
        ("Café déjà vu, “naïve” – 5 €".encode("cp1252"), "cp1252"),
        ("Café déjà vu".encode("latin-1"), "cp1252"),
        ("plain".encode("utf-16"), "utf-16-le"),
        ("plain".encode("utf-32"), "utf-32-le"),
        ("plain".encode("utf-8-sig"), "utf-8"),
        ("plain text".encode("utf-16-be"), "utf-16-be"),
        ("plain text".encode("utf-16-le"), "utf-16-le"),
        ("plain text".encode("utf-32-be"), "utf-32-be"),
        (f"{SIMPLIFIED} 1, 2\n".encode("utf-16-le"), "utf-16-le"),
        # Mostly UTF-8 with a few bad bytes is UTF-8.
        ("café caf".encode() + b"\xe9 more", "utf-8"),
        (SIMPLIFIED.encode()[:-1], "utf-8"),
        (b"a\xffb", "utf-8"),
        (b"a\0b", "utf-8"),
        # What is not recognised is left alone.
        ("日本語の文章です。これは".encode("euc-jp"), "utf-8"),
        ("日本語の文章です。これは".encode("shift-jis"), "utf-8"),
        ("한국어 문장입니다".encode("euc-kr"), "utf-8"),
        ("Привет, мир, как дела".encode("cp1251"), "utf-8"),
        (bytes(range(128, 256)) * 9, "utf-8"),
    ],
)
def test_the_encoding_is_found(data: bytes, encoding: str) -> None:
    assert encoding_of(data) == encoding


@pytest.mark.parametrize("before", [0, 5_000, 3 << 20])
def test_an_encoding_shows_late_too(tmp_path: Path, before: int) -> None:
    ascii_lines = b"plain line of text\n" * (before // 19)
    (tmp_path / "x.txt").write_bytes(ascii_lines + (SIMPLIFIED + "\n").encode("gb18030") * 3)
    for unit in ("line", "file"):
        texts = texts_of(tmp_path / "x.txt", text_unit=unit)
        assert texts[-1].endswith(SIMPLIFIED + "\n" * (unit == "file"))


def test_documents_that_were_decoded_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(f"{SIMPLIFIED}\n{SIMPLIFIED}".encode("gb18030"))
    counts = {"text": 2, "decoded.gb18030": 2}
    assert counts_of(tmp_path / "x.txt", text_unit="line") == counts
    # What was asked for is no repair.
    assert counts_of(tmp_path / "x.txt", text_unit="line", encoding="gb18030") == {"text": 2}


def test_a_bad_byte_is_placed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("é\nab\n".encode() + b"c\xff\n\nd\n")
    assert flaw_of(path).place == "whole file, its byte 7"
    assert flaw_of(path, text_unit="line").place == "line 3, its byte 1"
    assert counts_of(path, text_unit="line") == {"text": 4, "bad_encoding": 1}
    assert counts_of(path, text_unit="paragraph") == {"text": 1, "bad_encoding": 1}
    items = items_of(path, text_unit="line", on_bad_text="repair")
    assert texts_in(items) == ["é", "ab", "c\ufffd", "", "d"]
    assert places_in(items) == [f"line {n}" for n in range(1, 6)]


def test_bytes_that_a_found_encoding_has_not_cost_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    lines = (SIMPLIFIED + "\n").encode("gb18030")
    path.write_bytes(lines * 50 + b"a\xff\xffb\n" + lines)
    counts = {"text": 51, "bad_encoding": 1, "decoded.gb18030": 51}
    assert counts_of(path, text_unit="line") == counts
    flaw = flaw_of(path, text_unit="line")
    assert flaw.place.startswith("line 51")
    assert "not gb18030" in flaw.finding


@pytest.mark.parametrize(
    ("data", "encoding", "remedy"),
    [
        (SIMPLIFIED.encode("gb18030"), "utf-8", "set corpus.encoding to gb18030, which"),
        (TRADITIONAL.encode("big5"), "utf-8", "set corpus.encoding to big5, which"),
        ("Café déjà vu".encode("latin-1"), "utf-8", "set corpus.encoding to cp1252, which"),
        (b"caf\xc3\xa9 caf\xe9 more", "utf-8", "mend the bytes"),
        (b"a\xffb", "auto", "set corpus.encoding to that of the file"),
    ],
)
def test_the_remedy_names_an_encoding_that_may_fit(
    tmp_path: Path, data: bytes, encoding: str, remedy: str
) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert remedy in flaw_of(tmp_path / "x.txt", encoding=encoding).remedy


@pytest.mark.parametrize("tail", [b"\x00\xd8x\x00\n\x00", b"x"])
def test_bad_utf16_costs_its_line_only(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "x.txt").write_bytes("a\nb\n".encode("utf-16-le") + tail)
    counts = counts_of(tmp_path / "x.txt", text_unit="line", encoding="utf-16-le")
    assert counts == {"text": 2, "bad_encoding": 1}


def test_nul_characters_are_flaws_or_removed_and_counted(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"a\0b\nc\n")
    assert counts_of(tmp_path / "x.txt", text_unit="line") == {"text": 1, "bad_encoding": 1}
    items = items_of(tmp_path / "x.txt", text_unit="line", on_bad_text="repair")
    assert texts_in(items) == ["ab", "c"]
    counts = counts_of(tmp_path / "x.txt", text_unit="line", on_bad_text="repair")
    assert counts == {"text": 2, "nul_removed": 1}
