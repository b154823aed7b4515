"""The memory of a line of models as it lies on disk."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.memory import (
    HELD_OUT,
    NEITHER,
    TRAIN,
    Memory,
    Met,
    MetFile,
    Segment,
    documents_path,
    files_path,
    read_files,
    write_files,
    write_met,
    write_segments,
)

BANDS = 20


def _met(count: int, seed: int, bands: int = BANDS) -> Met:
    generator = np.random.default_rng(seed)
    return Met(
        generator.integers(0, 256, (count, 16), np.uint8),
        generator.choice(np.array([TRAIN, HELD_OUT, NEITHER], np.uint8), count),
        generator.integers(0, 2**64, (count, bands), np.uint64),
    )


def _file(digest: str, name: str = "text/a.txt", *, waits: bool = False) -> MetFile:
    path = Path(os.fsdecode(b"/text/\xff.txt"))
    licence = "CC0-1.0"
    return MetFile(bytes.fromhex(digest), "text", licence, name, path, 7, 32 * "0a", 3, 1, waits)


def _write(folder: Path, segments: list[Met], files: list[list[MetFile]]) -> Memory:
    folder.mkdir(exist_ok=True)
    listed = []
    for number, (met, read) in enumerate(zip(segments, files, strict=True)):
        name = f"{number:06d}"
        write_met(documents_path(folder, name), met)
        write_files(files_path(folder, name), read)
        listed.append(Segment(name, "corpus", "shards", "held out", len(met)))
    write_segments(folder, listed)
    return Memory(folder)


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_segments_come_back_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], seed: int
) -> None:
    segments = [_met(count, seed + number) for number, count in enumerate(counts)]
    memory = _write(tmp_path_factory.mktemp("memory"), segments, [[] for _ in counts])
    assert [each.documents for each in memory.segments] == counts
    for found, expected in (
        (memory.met.ids, [each.ids for each in segments]),
        (memory.met.sides, [each.sides for each in segments]),
        (memory.met.bands, [each.bands for each in segments]),
    ):
        assert np.array_equal(found, np.concatenate(expected))


def test_a_document_takes_177_bytes(tmp_path: Path) -> None:
    sizes = []
    for count in (1000, 3000):
        _write(tmp_path / str(count), [_met(count, 1)], [[]])
        sizes.append(documents_path(tmp_path / str(count), "000000").stat().st_size)
    assert (sizes[1] - sizes[0]) / 2000 == pytest.approx(177, abs=0.2)


def test_digests_of_files_of_all_segments_are_known(tmp_path: Path) -> None:
    one, other = "00" * 16, "ff" * 16
    memory = _write(
        tmp_path,
        [_met(1, 1), _met(1, 2)],
        [[_file(one), _file(one, "text/b.txt")], [_file(other)]],
    )
    assert memory.files == {bytes.fromhex(one), bytes.fromhex(other)}


def test_files_come_back_in_order_of_their_names_with_paths_of_any_bytes(tmp_path: Path) -> None:
    later, sooner = _file("00" * 16, "text/雪.txt"), _file("ff" * 16, waits=True)
    write_files(tmp_path / "files", [later, sooner])
    assert read_files(tmp_path / "files") == [sooner, later]


def test_a_file_with_documents_that_wait_is_read_again(tmp_path: Path) -> None:
    waiting, settled = _file("00" * 16, waits=True), _file("ff" * 16)
    assert _write(tmp_path, [_met(1, 1)], [[waiting, settled]]).files == {settled.identity}


def test_a_segment_of_an_older_release_says_digests_and_no_names(tmp_path: Path) -> None:
    memory = _write(tmp_path, [_met(1, 1)], [[]])
    digests = pa.array([bytes(16)], pa.binary(16))
    path = files_path(tmp_path, "000000")
    with pa.ipc.new_file(path, pa.schema([("digest", pa.binary(16))])) as file:
        file.write_batch(pa.record_batch([digests], names=["digest"]))
    assert memory.files == {bytes(16)}
    assert read_files(path) is None


def test_the_files_of_a_memory_are_all_that_lies_beside_its_list(tmp_path: Path) -> None:
    memory = _write(tmp_path, [_met(1, 1), _met(1, 2)], [[], []])
    assert {*memory.paths(), tmp_path / "segments.json"} == set(tmp_path.iterdir())


def test_what_is_no_memory_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no memory of what was met"):
        Memory(tmp_path)
    memory = _write(tmp_path, [_met(3, 1)], [[]])
    documents_path(tmp_path, "000000").write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="restore the store from a copy"):
        _ = memory.met
    files_path(tmp_path, "000000").unlink()
    with pytest.raises(ArtifactError, match="is no memory"):
        _ = memory.files
    (tmp_path / "segments.json").write_text('[{"name": "000000"}]')
    with pytest.raises(ArtifactError, match="is no memory"):
        Memory(tmp_path)
