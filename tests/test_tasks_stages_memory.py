"""The memory of a line: each night adds a segment, and copies none."""

import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpusmill.storage.artifacts import Ref, Spec, discard, find, obtain
from corpusmill.storage.corpus.documents import bands_path
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.memory import Memory, files_path, read_files
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.night import WAITING
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.sources import ResolvedSource
from corpusmill.tasks.stages.memory import recall, remember
from tests.lines import Line, begin


def _line(root: Path, nights: int) -> Line:
    folder = root / "text"
    folder.mkdir()
    config = CorpusConfig(sources=(str(folder),), text_unit="line")
    _write(folder, 0)
    line = begin(root / "home", config)
    for number in range(1, nights + 1):
        _write(folder, number)
        assert line.night()
    return line


def _write(folder: Path, number: int) -> None:
    lines = (f"Of {n} houses {n * n + number} stand on hill {number}." for n in range(10))
    (folder / f"{number}.txt").write_text("\n".join(lines))


def test_older_segments_are_the_same_files_and_outlive_the_memory_that_wrote_them(
    tmp_path: Path,
) -> None:
    line = _line(tmp_path, 2)
    assert line.memory
    before = Memory(line.memory.path)
    older = line.memory
    _write(tmp_path / "text", 3)
    assert line.night()
    after = Memory(line.memory.path)
    assert after.segments[:3] == before.segments and len(after.segments) == 4
    for path in before.paths():
        assert path.stat().st_ino == (line.memory.path / path.name).stat().st_ino
    discard(older)
    find(line.layout, "memory", line.memory.digest)
    assert len(after.met) == 40


def test_a_night_s_documents_lie_once_on_disk_in_its_corpus_and_in_its_memory(
    tmp_path: Path,
) -> None:
    line = _line(tmp_path, 1)
    assert line.memory
    own = line.memory.path / "000001.documents.arrow"
    assert own.samefile(line.corpora[1].path / "met.documents.arrow")


def test_the_first_segment_says_what_the_first_corpus_says(tmp_path: Path) -> None:
    line = _line(tmp_path, 0)
    assert line.memory
    met = Memory(line.memory.path).met
    bands = [np.load(bands_path(line.corpora[0].path, split)) for split in SPLITS]
    assert np.array_equal(met.bands, np.concatenate(bands))
    assert met.sides.tolist() == [0] * len(bands[0]) + [1] * len(bands[1])


def test_of_each_file_its_bytes_and_what_became_of_them_are_kept(tmp_path: Path) -> None:
    line = _line(tmp_path, 1)
    assert line.memory
    for number in range(2):
        (met,) = read_files(files_path(line.memory.path, f"{number:06d}")) or []
        real = tmp_path / "text" / f"{number}.txt"
        said = subprocess.check_output(["sha256sum", real], text=True).split()[0]
        assert (met.sha256, met.size, met.path) == (said, real.stat().st_size, real)
        assert (met.name, met.source, met.licence) == (f"text/{number}.txt", "text", "unknown")
        counts = read_manifest(line.corpora[number].path)["counts"]
        assert (met.train, met.held_out) == tuple(counts[split]["documents"] for split in SPLITS)
        assert met.train + met.held_out == 10


def test_documents_within_an_archive_are_counted_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"in/{number}.txt", f"House {number} stands on hill {number * 7}.")
    line = begin(tmp_path / "home", CorpusConfig(sources=(str(folder),)))
    assert line.memory
    (met,) = read_files(files_path(line.memory.path, "000000")) or []
    assert met.name == "text/all.zip" and met.train + met.held_out == 3


class _Compared(str):
    """A name that counts what it is compared with."""

    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Compared.comparisons += 1
        return str.__eq__(self, other)


def test_files_are_not_compared_with_all_that_wait(tmp_path: Path) -> None:
    line = _line(tmp_path, 0)
    corpus = line.corpora[0]
    inner = [f"text/{number}.zip/in/x.txt" for number in range(0, 600, 2)]
    (corpus.path / WAITING).write_text(json.dumps(["text/7.zipped", "text/0.txt", *inner]))
    file = SourceFile("text", "", tmp_path, 1, "", 0, Format("text"), "text", "utf-8", "line")
    files = tuple(
        replace(file, name=_Compared(f"text/{number}.zip"), digest=f"{number:064x}")
        for number in range(600)
    )
    source = ResolvedSource("text", None, files)
    _Compared.comparisons = 0
    memory = remember(line.layout, None, corpus, [source], shards=corpus, held_out=corpus)
    met = read_files(files_path(memory.path, "000000")) or []
    waiting = {each.name for each in met if each.waits}
    assert waiting == {f"text/{number}.zip" for number in range(0, 600, 2)}
    assert _Compared.comparisons < 20 * len(files)


def test_the_same_night_is_remembered_once(tmp_path: Path) -> None:
    line = _line(tmp_path, 1)
    assert line.memory
    count = len(list(line.layout.artifacts("memory").iterdir()))
    line.memory = find(line.layout, "memory", line.memory.digest)
    assert line.night() is None
    assert len(list(line.layout.artifacts("memory").iterdir())) == count == 2


def test_a_model_of_an_earlier_release_recalls_its_corpora(tmp_path: Path) -> None:
    line = _line(tmp_path, 0)
    corpus = line.corpora[0]
    spec = Spec("shards", 1, {"corpus": corpus.digest})
    shards, _ = obtain(line.layout, spec, lambda folder: (folder / "x").touch())
    memory = Memory(recall(line.layout, corpus).path)
    assert [each.shards for each in memory.segments] == [shards.digest]
    assert len(memory.met) == 10
    # Which files they were is not known any more: they are read, and seen.
    assert not memory.files
    line.memory = recall(line.layout, corpus)
    found = line.night()
    assert found and line.find() is None


def test_without_its_shards_a_model_of_an_earlier_release_is_refused(tmp_path: Path) -> None:
    line = _line(tmp_path, 0)
    with pytest.raises(ArtifactError, match="The shards of the corpus"):
        recall(line.layout, Ref("corpus", line.corpora[0].digest, line.corpora[0].path))
