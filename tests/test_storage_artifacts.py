"""Artifacts: complete or absent, whatever kills their writer or damages their bytes."""

import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.artifacts import Ref, Spec, find, obtain, publish, set_aside
from corpusmill.storage.errors import ArtifactError, StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST, digest_json, read_manifest, verify, write_json
from corpusmill.storage.writing import sweep, temporary

SPEC = Spec("thing", 1, inputs={"corpus": "c0ffee"}, config={"size": 3})

KILLED_WRITER = """
import sys, time
from pathlib import Path
from corpusmill.storage.artifacts import (Spec, obtain)
from corpusmill.storage.layout import Layout

def write(directory):
    (directory / "half.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)

obtain(Layout(Path(sys.argv[1])), Spec("thing", 1, {"corpus": "c0ffee"}, {"size": 3}), write)
"""

RACING_WRITER = """
import os, sys, time
from pathlib import Path
from corpusmill.storage.artifacts import (Spec, obtain)
from corpusmill.storage.layout import Layout

def write(directory):
    (directory / "who.txt").write_text(str(os.getpid()))
    print("writing", flush=True)
    sys.stdin.readline()

ref, _ = obtain(Layout(Path(sys.argv[1])), Spec("thing", 1), write)
print((ref.path / "who.txt").read_text())
"""


def _writer(text: str = "content") -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        (directory / "deep").mkdir()
        (directory / "deep" / "a.txt").write_text(text)
        (directory / "b.bin").write_bytes(bytes(1000))
        return {"documents": {"in": 3, "kept": 1, "dropped": {"empty": 2}}}

    return write


def _start(script: str, root: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _made(root: Path) -> Ref:
    ref, reused = obtain(Layout(root), SPEC, _writer())
    assert not reused
    return ref


def _fail(_: Path) -> None:
    raise AssertionError("the artifact should have been reused")


def test_a_manifest_names_everything_the_artifact_is_made_of(tmp_path: Path) -> None:
    ref = _made(tmp_path)
    manifest = verify(ref.path)
    assert manifest["kind"] == "thing"
    assert manifest["digest"] == SPEC.digest == ref.digest == ref.path.name
    assert manifest["inputs"] == {"corpus": "c0ffee"}
    assert manifest["config"] == {"size": 3}
    assert manifest["counts"]["documents"]["kept"] == 1
    assert [entry["path"] for entry in manifest["files"]] == ["b.bin", "deep/a.txt"]
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"])
    assert str(ref) == f"thing/{SPEC.digest[:12]}"


def test_the_same_spec_is_written_once(tmp_path: Path) -> None:
    ref = _made(tmp_path)
    assert obtain(Layout(tmp_path), SPEC, _fail) == (ref, True)
    assert find(Layout(tmp_path), "thing", SPEC.digest) == ref
    assert [path.name for path in ref.path.parent.iterdir()] == [ref.digest]


@pytest.mark.parametrize(
    "other",
    [
        Spec("thong", 1, SPEC.inputs, SPEC.config),
        Spec("thing", 2, SPEC.inputs, SPEC.config),
        Spec("thing", 1, {"corpus": "decaf"}, SPEC.config),
        Spec("thing", 1, SPEC.inputs, {"size": 4}),
    ],
)
def test_every_part_of_a_spec_is_identity(other: Spec) -> None:
    assert other.digest != SPEC.digest


def test_the_digest_of_json_ignores_the_order_of_keys() -> None:
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": (1, 2), "a": 1})


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write(directory: Path) -> None:
        (directory / "half.txt").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        obtain(Layout(tmp_path), SPEC, write)
    assert list((tmp_path / "artifacts" / "thing").iterdir()) == []


def test_counts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    counts = {"documents": {"in": 3, "kept": 1, "dropped": {"empty": 1}}}
    with pytest.raises(ArtifactError, match="do not add up"):
        obtain(Layout(tmp_path), SPEC, lambda _: counts)
    assert list((tmp_path / "artifacts" / "thing").iterdir()) == []


def _flip_a_bit(path: Path) -> None:
    data = bytearray((path / "b.bin").read_bytes())
    data[500] ^= 1
    (path / "b.bin").write_bytes(data)


def _cut_a_file(path: Path) -> None:
    os.truncate(path / "b.bin", 999)


def _lose_a_file(path: Path) -> None:
    (path / "deep" / "a.txt").unlink()


def _lose_the_manifest(path: Path) -> None:
    (path / MANIFEST).unlink()


def _cut_the_manifest(path: Path) -> None:
    os.truncate(path / MANIFEST, 40)


def _empty_the_manifest(path: Path) -> None:
    (path / MANIFEST).write_text("{}")


def _spoil_the_manifest(path: Path) -> None:
    (path / MANIFEST).write_bytes(b"\xff\xfe" + bytes(20))


@pytest.mark.parametrize(
    "damage",
    [
        _flip_a_bit,
        _cut_a_file,
        _lose_a_file,
        _lose_the_manifest,
        _cut_the_manifest,
        _empty_the_manifest,
        _spoil_the_manifest,
    ],
)
def test_damage_is_found_set_aside_and_rebuilt(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    ref = _made(tmp_path)
    damage(ref.path)
    with pytest.raises(ArtifactError, match="run the stage that makes it again"):
        find(Layout(tmp_path), ref.kind, ref.digest)
    for number in (1, 2):
        assert obtain(Layout(tmp_path), SPEC, _writer()) == (ref, False)
        verify(ref.path)
        assert ref.path.with_name(f"{ref.digest}.damaged-{number}").is_dir()
        damage(ref.path)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a complete artifact"):
        find(Layout(tmp_path), "thing", "0" * 32)


def test_a_writer_that_comes_second_keeps_the_first_ones_bytes(tmp_path: Path) -> None:
    first = publish(tmp_path / "x", SPEC, _writer("first"))
    second = publish(tmp_path / "x", SPEC, _writer("second"))
    assert second == first
    assert (tmp_path / "x" / "deep" / "a.txt").read_text() == "first"


def test_a_killed_writer_leaves_nothing_visible_and_is_swept(tmp_path: Path) -> None:
    process = _start(KILLED_WRITER, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    parent = tmp_path / "artifacts" / "thing"
    leftover, _ = sorted(parent.iterdir())
    sweep(parent)
    assert leftover.exists(), "the writer lives, so its directory is not swept"

    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (parent / SPEC.digest).exists()
    assert (leftover / "half.txt").exists()

    ref = _made(tmp_path)
    assert list(parent.iterdir()) == [ref.path]


def test_a_writer_that_lives_holds_a_lock_on_a_file(tmp_path: Path) -> None:
    # One on a folder is unknown to other machines where the folder is on NFS.
    def write(directory: Path) -> None:
        with (
            directory.with_name(f"{directory.name}.lock").open("r+b") as file,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sweep(tmp_path)
        assert directory.exists()

    publish(tmp_path / "x", SPEC, write)
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_what_dead_writers_of_other_machines_left_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    for host, boot in (("this", "now"), ("this", "before"), ("container", "now"), ("other", "its")):
        _be_on(monkeypatch, tmp_path, host, boot)
        with temporary(tmp_path) as folder:
            folders.append(folder)
    for folder in folders:
        folder.mkdir()
        folder.with_name(f"{folder.name}.lock").touch()
    _be_on(monkeypatch, tmp_path, "this", "now")
    sweep(tmp_path)
    assert [folder.exists() for folder in folders] == [False, False, False, True]


def _be_on(monkeypatch: pytest.MonkeyPatch, folder: Path, host: str, boot: str) -> None:
    (folder / "boot_id").write_text(boot)
    monkeypatch.setattr(platform, "node", lambda: host)
    monkeypatch.setattr("corpusmill.storage.writing._BOOT", folder / "boot_id")


def test_two_processes_racing_for_one_artifact_read_the_same_bytes(tmp_path: Path) -> None:
    processes = [_start(RACING_WRITER, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert int(outputs[0]) in [process.pid for process in processes]
    assert len(list((tmp_path / "artifacts" / "thing").iterdir())) == 1


def test_json_is_written_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": "文"})
    write_json(path, {"a": "字"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "字"}
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_artifact_set_aside_keeps_its_bytes(tmp_path: Path) -> None:
    ref = _made(tmp_path)
    aside = set_aside(ref.path)
    assert not ref.path.exists()
    assert read_manifest(aside)["digest"] == ref.digest


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a Linux device")
def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    def write(directory: Path) -> None:
        (directory / "part.txt").write_text("part")
        with Path("/dev/full").open("w") as full:
            full.write("more")

    with pytest.raises(StackError, match=r"is full .* free some space"):
        publish(tmp_path / "kind" / "digest", SPEC, write)
    assert list((tmp_path / "kind").iterdir()) == []


def test_a_writer_whose_inputs_went_into_the_winners_artifact_takes_that(tmp_path: Path) -> None:
    layout, spec = Layout(tmp_path), Spec("corpus", 1, {"text": "a"})

    def win(directory: Path) -> None:
        (directory / "text").write_text("a")

    def lose(directory: Path) -> None:
        obtain(layout, spec, win)
        raise FileNotFoundError(directory / "part")

    ref, reused = obtain(layout, spec, lose)
    assert reused
    assert (ref.path / "text").read_text() == "a"
