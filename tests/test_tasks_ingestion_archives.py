"""Archives: members read in place, and none that leads out of them."""

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, SourceFile
from corpusmill.tasks.ingestion.readers.formats import format_at
from corpusmill.tasks.ingestion.readers.reading import read
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from tests.archived import tarred, zipped

MEMBERS = {
    "a.txt": b"one",
    "deep/b.jsonl": b'{"text": "two"}\n{"text": 3}\n',
    "deep/c.txt.gz": gzip.compress("三".encode()),
}


def _read(folder: Path, name: str, data: bytes, **fields: Any) -> list[Item]:
    path = folder / name
    path.write_bytes(data)
    file = SourceFile(
        "s", f"lib/{name}", path, len(data), "", 0, format_at(path), "text", "auto", "file"
    )
    return list(read(Fragment(file), CorpusConfig(**fields)))


def _texts(items: list[Item]) -> list[tuple[str, str]]:
    batches = [item for item in items if isinstance(item, DocumentBatch)]
    return [(batch.file, text) for batch in batches for text in batch.texts.to_pylist()]


def _flaws(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.place, item.reason) for item in items if isinstance(item, Flaw)]


BOTH = pytest.mark.parametrize(("name", "pack"), [("x.zip", zipped), ("x.tar", tarred)])
Pack = Callable[[dict[str, bytes]], bytes]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.zip", zipped),
        ("x.tar", tarred),
        ("x.tar.gz", lambda members: gzip.compress(tarred(members))),
        ("x.tgz", lambda members: gzip.compress(tarred(members))),
    ],
)
def test_every_member_is_read_like_a_file(tmp_path: Path, name: str, pack: Pack) -> None:
    items = _read(tmp_path, name, pack(MEMBERS))
    expected = [("a.txt", "one"), ("deep/b.jsonl", "two"), ("deep/c.txt.gz", "三")]
    assert _texts(items) == [(f"lib/{name}/{member}", text) for member, text in expected]
    assert _flaws(items) == [("deep/b.jsonl, line 2", "no_text")]


@BOTH
@pytest.mark.parametrize("member", ["../a.txt", "/etc/a.txt", "b/../../a.txt", "C:\\a.txt"])
def test_a_path_that_leads_out_is_a_flaw(
    tmp_path: Path, name: str, pack: Pack, member: str
) -> None:
    items = _read(tmp_path, name, pack({member: b"x", "b.txt": b"two"}))
    assert [text for _, text in _texts(items)] == ["two"]
    assert [reason for _, reason in _flaws(items)] == ["unsafe_path"]


@BOTH
def test_what_is_not_read_is_counted(tmp_path: Path, name: str, pack: Pack) -> None:
    members = {"x.png": b"x", "in.zip": zipped(MEMBERS), "__MACOSX/._a.txt": b"x", "a.txt": b"one"}
    items = _read(tmp_path, name, pack(members))
    assert [text for _, text in _texts(items)] == ["one"]
    assert _flaws(items) == [("x.png", "not_read"), ("in.zip", "nested_archive")]
    assert [item.bytes for item in items if isinstance(item, Flaw)] == [1, len(zipped(MEMBERS))]
    assert sum(item.count for item in items if isinstance(item, Repaired)) == 1


def test_links_and_devices_are_flaws(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)):
            info = tarfile.TarInfo(f"{number}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    items = _read(tmp_path, "x.tar", data.getvalue())
    assert _flaws(items) == [(f"{number}.txt", "not_a_file") for number in range(3)]


def test_a_link_in_a_zip_is_a_flaw(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        info = zipfile.ZipInfo("a.txt")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert _flaws(_read(tmp_path, "x.zip", data.getvalue())) == [("a.txt", "not_a_file")]


def test_an_encrypted_member_is_a_flaw(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"one", "b.txt": b"two"}))
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    items = _read(tmp_path, "x.zip", bytes(data))
    assert _flaws(items) == [("a.txt", "encrypted")]
    assert [text for _, text in _texts(items)] == ["two"]


def test_a_damaged_member_costs_no_other(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(1000).hex().encode()
    data = bytearray(zipped({"a.txt": noise, "b.txt": b"two"}))
    data[200] ^= 255
    items = _read(tmp_path, "x.zip", bytes(data))
    assert [text for _, text in _texts(items)][-1:] == ["two"]
    assert [reason for _, reason in _flaws(items)] == ["damaged"]


def test_what_came_before_the_cut_is_kept(tmp_path: Path) -> None:
    data = tarred({"a.txt": b"one", "b.jsonl": b'{"text": "x"}\n' * 9999})
    items = _read(tmp_path, "x.tar", data[:99_999])
    assert [text for _, text in _texts(items)][:2] == ["one", "x"]
    assert {reason for _, reason in _flaws(items)} <= {"damaged", "truncated", "bad_json"}
    assert _flaws(items)


@pytest.mark.parametrize("cut", [1024, 1024 + 300])
def test_a_tar_without_its_end_is_a_flaw(tmp_path: Path, cut: int) -> None:
    items = _read(tmp_path, "x.tar", tarred({"a.txt": b"one", "b.txt": b"two"})[:cut])
    assert [text for _, text in _texts(items)] == ["one"]
    assert _flaws(items) == [("after member 1", "truncated")]


def test_a_damaged_header_of_a_tar_is_a_flaw(tmp_path: Path) -> None:
    data = bytearray(tarred({"a.txt": b"one", "b.txt": b"two"}))
    data[1024] ^= 1
    items = _read(tmp_path, "x.tar", bytes(data))
    assert [text for _, text in _texts(items)] == ["one"]
    assert _flaws(items) == [("after member 1", "damaged")]


@pytest.mark.parametrize("member", ["a.txt", "a.png"])
def test_a_member_of_an_exabyte_takes_no_longer_than_what_there_is(
    tmp_path: Path, member: str
) -> None:
    info = tarfile.TarInfo(member)
    info.size = 1 << 60
    items = _read(tmp_path, "x.tar", info.tobuf() + b"one")
    assert _flaws(items)[-1] == ("after member 1", "truncated")


@BOTH
def test_rubbish_is_a_flaw(tmp_path: Path, name: str, pack: Pack) -> None:
    assert [r for _, r in _flaws(_read(tmp_path, name, b"rubbish" * 999))] == ["damaged"]


def test_a_bomb_is_a_flaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpusmill.tasks.ingestion.readers.archives.BOMB_BYTES", 1 << 20)
    members = {f"{number}.txt": bytes(40 << 20) for number in range(2)}
    data = zipped({"a.txt": b"one", **members})
    monkeypatch.setattr("corpusmill.tasks.ingestion.readers.archives.BOMB_RATIO", 100)
    items = _read(tmp_path, "x.zip", data)
    assert [text for _, text in _texts(items)] == ["one"]
    assert [reason for _, reason in _flaws(items)] == ["bomb", "bomb"]


def test_a_name_of_any_bytes_is_printable(tmp_path: Path) -> None:
    data = tarred({"caf\udce9.txt": b"one"})
    ((name, _),) = _texts(_read(tmp_path, "x.tar", data))
    assert name == "lib/x.tar/caf\\udce9.txt"


def test_a_member_without_a_name_costs_no_other(tmp_path: Path) -> None:
    # The name ends at its first NUL.
    items = _read(tmp_path, "x.zip", zipped(MEMBERS).replace(b"a.txt", b"\0.txt"))
    assert [text for _, text in _texts(items)] == ["two", "三"]


@pytest.mark.parametrize(("name", "pack"), [("x.zip", zipped), ("x.tar", tarred)])
@given(data=st.data())
@settings(max_examples=60)
def test_no_bytes_fail(
    tmp_path_factory: pytest.TempPathFactory, name: str, pack: Pack, data: st.DataObject
) -> None:
    archive = bytearray(pack(MEMBERS))
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(archive)))
        archive[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    items = _read(tmp_path_factory.getbasetemp(), name, bytes(archive))
    assert all(isinstance(item, Item) for item in items)


def test_a_member_that_is_lost_from_the_list_is_counted(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"one", "b.txt": b"two"}))
    # The length of the comment of the first entry, in which the second one then lies.
    data[data.index(b"PK\x01\x02") + 32] = 46 + len("b.txt")
    items = _read(tmp_path, "x.zip", bytes(data))
    assert [text for _, text in _texts(items)] == ["one"]
    assert _flaws(items) == [("after a.txt", "left_over"), ("the list of members", "damaged")]


def test_what_lies_between_the_members_of_a_zip_is_counted(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "one")
        with archive.open("b.txt", "w") as member:
            member.write(b"gone " * 9)
        archive.writestr("c.txt", "two")
        archive.filelist = [each for each in archive.filelist if each.filename != "b.txt"]
    items = _read(tmp_path, "x.zip", file.getvalue())
    assert [text for _, text in _texts(items)] == ["one", "two"]
    (flaw,) = (item for item in items if isinstance(item, Flaw))
    assert (flaw.place, flaw.reason) == ("after a.txt", "left_over")
    assert flaw.bytes == 30 + len("b.txt") + len("gone ") * 9
