"""Files of kinds that are not read are counted and named, or refused where asked for by name."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.errors import CorpusError
from tests.corpora import build, counts_of, write_jsonl

SIZE = 5000


def _texts(folder: Path) -> Path:
    folder.mkdir()
    return write_jsonl(folder / "a.jsonl", [f"text number {number} of it" for number in range(9)])


def _unread(root: Path, *sources: Path, **fields: Any) -> list[tuple[str, int, int]]:
    files = counts_of(build(root, *sources, **fields))["unread"]["files"]
    return [(each["file"], each["documents"], each["bytes"]) for each in files]


@pytest.mark.parametrize("pattern", ["", "*", "**/*"])
def test_a_folder_and_a_glob_set_the_same_files_apart(tmp_path: Path, pattern: str) -> None:
    folder = _texts(tmp_path / "lib").parent
    for name in ("a.xyz", "b.XYZ", "Makefile"):
        (folder / name).write_bytes(b"x" * SIZE)
    corpus = build(tmp_path, folder / pattern, on_bad_text="refuse", max_unread=0)
    counts = counts_of(corpus)
    assert [(each["file"], each["documents"]) for each in counts["unread"]["files"]] == [
        ("lib/**/*.xyz", 2),
        ("lib/**/*", 1),
    ]
    detail = counts["unread"]["files"][0]["detail"]
    assert detail.startswith(
        "a.xyz: found a file with the suffix .xyz, which is not read; expected"
    )
    assert counts["documents"] == {"in": 12, "kept": 9, "dropped": {"not_read": 3}}
    amounts = counts["bytes"]
    assert amounts["dropped"] == {"not_read": 3 * SIZE}
    assert amounts["in"] == amounts["kept"] + 3 * SIZE


def test_members_of_an_archive_are_set_apart_alike(tmp_path: Path) -> None:
    texts = _texts(tmp_path / "lib")
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.write(texts, "a.jsonl")
        archive.writestr("deep/a.xyz", b"x" * SIZE)
    archive_at = tmp_path / "lib.zip"
    found = _unread(tmp_path, archive_at, on_bad_text="refuse", max_unread=0)
    assert found == [(f"{tmp_path.name}/lib.zip/**/*.xyz", 1, SIZE)]


def test_a_file_that_two_sources_lead_to_is_set_apart_once(tmp_path: Path) -> None:
    folder = _texts(tmp_path / "lib").parent
    (folder / "a.xyz").write_bytes(b"x" * SIZE)
    (folder / "b.xyz").symlink_to(folder / "a.xyz")
    found = _unread(tmp_path, folder, Path(f"{folder}/a.*"))
    assert found == [("lib/**/*.xyz", 1, SIZE)]


def test_what_could_not_be_read_is_named_before_what_is_set_apart(tmp_path: Path) -> None:
    texts = _texts(tmp_path / "lib")
    (texts.parent / "a.xyz").write_bytes(b"x" * SIZE)
    texts.write_text(texts.read_text() + "nothing\n")
    assert _unread(tmp_path, texts.parent, max_unread=1) == [
        ("lib/a.jsonl", 1, 7),
        ("lib/**/*.xyz", 1, SIZE),
    ]
    with pytest.raises(CorpusError, match=r"7 of \d{3} bytes .* most of them in lib/a.jsonl"):
        build(tmp_path, texts.parent, max_unread=0.01)


@pytest.mark.parametrize("name", ["a.xyz", "*.xyz", ""])
def test_what_leads_to_nothing_that_is_read_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "lib").mkdir()
    for each in ("a.xyz", "b.xyz"):
        (tmp_path / "lib" / each).touch()
    with pytest.raises(CorpusError, match=r"lib/a\.xyz: found .* \.xyz, which is not read"):
        build(tmp_path, tmp_path / "lib" / name)


def test_another_file_that_is_set_apart_makes_another_corpus(tmp_path: Path) -> None:
    folder = _texts(tmp_path / "lib").parent
    before = build(tmp_path, folder)
    assert build(tmp_path, folder) == before
    (folder / "a.xyz").write_bytes(b"x")
    assert build(tmp_path, folder) != before
