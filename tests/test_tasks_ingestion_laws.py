"""Laws of reading over random files; `make laws` holds them over many more."""

from pathlib import Path

import pytest

from tests.laws import broken_law, first_broken
from tests.random_files import DOCUMENTS, KINDS, RandomFile, Told, random_file

SEED, FILES = 1, 100


def test_random_files_come_back_whole_or_counted(tmp_path: Path) -> None:
    assert first_broken(SEED, range(FILES), tmp_path) is None


def test_a_random_file_is_the_same_each_time() -> None:
    assert random_file(SEED, 7) == random_file(SEED, 7)


@pytest.mark.parametrize(
    ("told", "data", "law"),
    [
        (Told.WHOLE, b"one\n", "did not come back whole"),
        (Told.WHOLE, b"one\ntwo\n\0\n", "did not come back whole"),
        (Told.COUNTED, b"one\nzwei\n", "nothing is counted"),
        (Told.SHORTER, b"one\nzwei\n", "not counted"),
    ],
)
def test_what_breaks_a_law_is_found(tmp_path: Path, told: Told, data: bytes, law: str) -> None:
    file = RandomFile("x.txt", data, ("one", "two"), told)
    assert law in broken_law(file, tmp_path)


def test_bytes_that_nobody_kept_or_dropped_are_found(tmp_path: Path) -> None:
    file = RandomFile("x.txt", b"one\n\0\n", ("one", "two and more"), Told.COUNTED)
    assert "1 bytes dropped, of 6 characters" in broken_law(file, tmp_path)


def test_files_of_every_format_are_made() -> None:
    kinds = (*KINDS, *DOCUMENTS)
    made = {random_file(SEED, number, kinds).kind for number in range(FILES)}
    assert made >= {*kinds, "zip", "tar"}


@pytest.mark.parametrize("beginning", [b"\x1f", b"\x28\xb5", b"BZh91AY&S", b"\xfd7z"])
def test_a_file_that_is_cut_off_within_its_mark_is_no_text(
    tmp_path: Path, beginning: bytes
) -> None:
    endings = {0x1F: ".gz", 0x28: ".zst", 0x42: ".bz2", 0xFD: ".xz"}
    file = RandomFile(f"x.txt{endings[beginning[0]]}", beginning, ("one",), Told.COUNTED, False)
    assert not broken_law(file, tmp_path)
