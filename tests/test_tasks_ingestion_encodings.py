"""Encodings: found and decoded, and bad bytes treated by the stated policy."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from corpusmill.tasks.ingestion.encodings import encoding_of
from tests.benchmarks.encodings import ENCODINGS, Fragment, outcome
from tests.benchmarks.encodings import ours as found
from tests.readings import counts_of, flaw_of, items_of, places_in, texts_in, texts_of

SIMPLIFIED = "他们是在这里的人，不是别人。"
TRADITIONAL = "他們是在這裡的人，不是別人。"
GERMAN = "Über Nacht fiel Schnee, und die Straße zu den Häusern war für Stunden gesperrt."
ENGLISH = "It was dark; nobody had been out since the morning, and the road was closed. "


@cache
def declaration() -> dict[str, str]:
    """The beginning of the Universal Declaration of Human Rights, by language."""
    texts: dict[str, str] = json.loads(Path(__file__).with_name("declaration.json").read_text())
    return texts


def fragments(encoding: str, size: int) -> list[Fragment]:
    """The declaration in that encoding, in the languages it is for, cut into pieces."""
    texts = [declaration()[language] for language in ENCODINGS[encoding].split()]
    clean = [text.encode(encoding, "ignore").decode(encoding) for text in texts]
    parts = [text[at : at + size] for text in clean for at in range(0, len(text) - size + 1, size)]
    drawn = [Fragment(encoding, size, part, part.encode(encoding)) for part in parts]
    return [
        fragment for fragment in drawn if encoding == "iso2022_jp" or not fragment.data.isascii()
    ]


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
        (TRADITIONAL.encode("big5"), "big5hkscs"),
        (GERMAN.encode("latin-1"), "cp1252"),
        ((ENGLISH + "It’s “late” – 5 €.").encode("cp1252"), "cp1252"),
        (SIMPLIFIED.encode("hz"), "hz"),
        (b'(format t "~{~a~}" x), ~{ab~} and ' + ENGLISH.encode(), "utf-8"),
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
        # The remains of UTF-8 are no letters of another encoding.
        ((ENGLISH + "It was “late”. ").encode().replace(b"\x9d", b""), "utf-8"),
        # Surrogate pairs, as CESU-8 has them, are no letters of another encoding either.
        (9 * (ENGLISH.encode() + "\ud83d\ude00 ".encode("utf-8", "surrogatepass")), "utf-8"),
        # Names as `find -print0` writes them, whose pairs of bytes are Chinese characters.
        (b"data/one.txt\0data/two.txt\0data/three.md\0" * 9, "utf-8"),
        # What is not recognised is left alone.
        ("Café déjà vu".encode("latin-1"), "utf-8"),
        (bytes(range(128, 256)) * 9, "utf-8"),
    ],
)
def test_the_encoding_is_found(data: bytes, encoding: str) -> None:
    assert encoding_of(data) == encoding


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_some_hundred_bytes_tell_their_encoding(encoding: str) -> None:
    drawn = fragments(encoding, 330)
    assert [(fragment.text, outcome(found, fragment)) for fragment in drawn] == [
        (fragment.text, "right") for fragment in drawn
    ]


def test_short_text_is_read_rightly_or_refused() -> None:
    outcomes = Counter(
        outcome(found, fragment) for encoding in ENCODINGS for fragment in fragments(encoding, 110)
    )
    assert outcomes["wrong"] == 0
    assert outcomes["right"] > 0.9 * outcomes.total()


@pytest.mark.parametrize(
    ("sentence", "encodings"),
    [
        ("Az őszi szőlő és a tűz", "iso8859-2 cp1250"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy. ", "iso8859-2 cp1250"),
        ("Zażółć gęślą jaźń, proszę państwa. ", "iso8859-2 cp1250"),
        ("Şehrin ışıkları çok güzel, değil mi? ", "iso8859-9 cp1254"),
    ],
)
def test_one_sentence_again_and_again_is_read(
    tmp_path: Path, sentence: str, encodings: str
) -> None:
    for encoding in encodings.split():
        (tmp_path / "x.txt").write_bytes((sentence * 20).encode(encoding))
        assert texts_of(tmp_path / "x.txt") == [sentence * 20]


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


@pytest.mark.parametrize(
    ("encoding", "language", "bad", "found"),
    [
        ("gb18030", "zh", b"\xff\xff", "gb18030"),
        ("euc_jp", "ja", b"\xff\xff", "euc_jp"),
        ("shift_jis", "ja", b"\x85\x20", "cp932"),
        ("euc_kr", "ko", b"\xff\xff", "cp949"),
    ],
)
def test_bytes_that_a_found_encoding_has_not_cost_their_line_only(
    tmp_path: Path, encoding: str, language: str, bad: bytes, found: str
) -> None:
    path = tmp_path / "x.txt"
    lines = declaration()[language].splitlines()
    data = ("\n".join(lines) + "\n").encode(encoding)
    path.write_bytes(data * 9 + b"a" + bad + b"b\n" + data)
    number = 10 * len(lines)
    counts = {"text": number, "bad_encoding": 1, f"decoded.{found}": number}
    assert counts_of(path, text_unit="line") == counts
    flaw = flaw_of(path, text_unit="line")
    assert flaw.place.startswith(f"line {9 * len(lines) + 1}")
    assert f"not {found}" in flaw.finding


@pytest.mark.parametrize(
    ("data", "encoding", "remedy"),
    [
        (SIMPLIFIED.encode("gb18030"), "utf-8", "set corpus.encoding to gb18030, which"),
        (TRADITIONAL.encode("big5"), "utf-8", "set corpus.encoding to big5hkscs, which"),
        (GERMAN.encode("latin-1"), "utf-8", "set corpus.encoding to cp1252, which"),
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
