"""The family tree of a version, to the bytes of its files, whatever was pruned."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.storage.ledger import Ledger, Rejected
from corpusmill.storage.manifest import digest_file
from corpusmill.storage.markup import as_line
from corpusmill.storage.memory import files_path, read_segments, write_files, write_segments
from corpusmill.storage.versions import CHAMPION, CONTINUED_FROM, RegisteredModel, RunRecord
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.reports.lineage import as_tree, as_values
from corpusmill.tasks.reports.model_card import render_teaching
from corpusmill.tasks.stages.lineage import Generation, examples_files, lineage_of
from tests.labelled import examples_of, write_sentences
from tests.lines import Line, begin

CONFIG = {"recipe": "nightly"}
DAMAGED = "its memory is damaged: `make verify`"


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Before its first night."""
    folder = tmp_path / "text"
    folder.mkdir()
    _write(folder, 0)
    source = FileSource(files=str(folder), licence="CC0-1.0")
    return begin(tmp_path / "home", CorpusConfig(sources=(source,), text_unit="line"))


def _write(folder: Path, number: int) -> Path:
    path = folder / f"{number}.txt"
    path.write_text("\n".join(f"Of {n} houses {n + number * 9} stand." for n in range(10)))
    return path


def _version(line: Line, number: int) -> RegisteredModel:
    """The version that the last night of a line made."""
    assert line.memory
    tags = {"model_digest": f"{number:032x}", "memory": line.memory.digest}
    tags |= {"corpus": line.corpora[-1].digest, "bits_per_byte": f"1.{number}"}
    if number > 1:
        tags[CONTINUED_FROM] = str(number - 1)
    aliases = frozenset({CHAMPION} if number == 2 else ())
    return RegisteredModel("ours", str(number), "a run", tags, aliases)


def _record(version: RegisteredModel) -> RunRecord:
    made = {"tokenizer": "f" * 32}
    return RunRecord("a run", "ours nightly", datetime(2026, 11, 30, tzinfo=UTC), CONFIG, made)


@pytest.fixture
def versions(line: Line, tmp_path: Path) -> list[RegisteredModel]:
    """Of a first run and a night."""
    first = _version(line, 1)
    _write(tmp_path / "text", 1)
    assert line.night()
    return [first, _version(line, 2)]


def _lineage(line: Line, versions: list[RegisteredModel], number: int = 2) -> list[Generation]:
    return lineage_of(line.layout, versions, versions[number - 1], _record)


def test_the_digest_that_is_printed_is_that_of_the_file(
    line: Line, versions: list[RegisteredModel], tmp_path: Path
) -> None:
    tree = list(as_tree(_lineage(line, versions), None))
    for number in range(2):
        real = tmp_path / "text" / f"{number}.txt"
        digest, path = subprocess.check_output(["sha256sum", real], text=True).split()
        (said,) = (each for each in tree if path in each)
        assert f"{digest}  {path}  {real.stat().st_size:,} bytes" in said


def test_a_file_s_name_forges_no_line_of_the_tree(
    line: Line, versions: list[RegisteredModel], tmp_path: Path
) -> None:
    forged = f"x.txt\n● ours version 9 (champion)\n    {'0' * 64}  real.txt  1 bytes\u202e.txt"
    _write(tmp_path / "text", 3).rename(tmp_path / "text" / forged)
    assert line.night()
    tree = list(as_tree(_lineage(line, [*versions, _version(line, 3)], 3), None))
    shown = "\n".join(map(as_line, tree)).splitlines()
    assert len(shown) == len(tree) and "\u202e" not in "".join(shown)
    assert [each[:16] for each in shown if each.startswith("●")] == [
        f"● ours version {number}" for number in (3, 2, 1)
    ]


def test_each_version_shows_what_it_was_the_first_to_learn(
    line: Line, versions: list[RegisteredModel]
) -> None:
    night, first = as_values(_lineage(line, versions))
    assert (night["version"], night["continued_from"], night["aliases"]) == ("2", "1", [CHAMPION])
    assert (first["version"], first["continued_from"]) == ("1", None)
    assert [each["name"] for each in night["files"]] == ["text/1.txt"]
    assert [each["name"] for each in first["files"]] == ["text/0.txt"]
    assert first["files"][0]["licence"] == "CC0-1.0"
    assert night["figures"] == {"bits_per_byte": "1.2"} and night["recipe"] == "nightly"
    model, corpus = (
        next(each for each in night["artifacts"] if each["role"] == role)
        for role in ("model", "corpus")
    )
    assert model["said"] == "no longer in the store; MLflow has its files"
    assert corpus["digest"] == line.corpora[1].digest and corpus["kind"] == "corpus"


def test_of_a_version_that_is_no_champion_only_its_own_line_is_shown(
    line: Line, versions: list[RegisteredModel]
) -> None:
    (first,) = as_values(_lineage(line, versions, 1))
    assert [each["name"] for each in first["files"]] == ["text/0.txt"]


def test_a_corpus_that_was_pruned_and_a_version_that_was_deleted_are_still_told(
    line: Line, versions: list[RegisteredModel]
) -> None:
    shutil.rmtree(line.corpora[0].path)
    night, gone = lineage_of(line.layout, versions[1:], versions[1], _record)
    assert night.version == versions[1] and gone.version is None
    assert gone.files and gone.files[0].name == "text/0.txt"
    (corpus,) = (each for each in gone.materials if each.role == "corpus")
    assert corpus.digest == line.corpora[0].digest and corpus.kind is None
    assert any("the registry has no more" in each for each in as_tree([gone], None))


def test_where_no_names_of_files_were_kept_the_number_of_documents_is_said(
    line: Line, versions: list[RegisteredModel]
) -> None:
    path = _files_of_the_first(line, versions)
    names = pa.ipc.open_file(path.read_bytes()).read_all().select(["digest"])
    with pa.ipc.new_file(path, names.schema) as file:
        file.write_table(names)
    night, first = _lineage(line, versions)
    assert night.files and first.documents == 10
    assert _learned(first) == "10 documents, files not known: an older release kept no names"


def test_files_of_corpora_that_a_memory_was_made_of_later_are_not_known(
    line: Line, versions: list[RegisteredModel]
) -> None:
    write_files(_files_of_the_first(line, versions), [])
    _, first = _lineage(line, versions)
    why = "an older release registered it without a memory"
    assert _learned(first) == f"10 documents, files not known: {why}"


def test_a_segment_without_files_has_none(line: Line, versions: list[RegisteredModel]) -> None:
    write_files(_files_of_the_first(line, versions), [])
    folder = line.layout.artifact("memory", versions[1].tags["memory"])
    first, night = read_segments(folder)
    write_segments(folder, [replace(first, documents=0), night])
    (_, found) = _lineage(line, versions)
    assert found.files == () and found.unknown is None
    assert _learned(found) == "0 documents, 0 held out, of 0 files, 0 bytes"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (shutil.rmtree, "its memory is no longer in the store"),
        (lambda folder: (folder / "segments.json").write_text("{"), DAMAGED),
        (lambda folder: (folder / "segments.json").unlink(), DAMAGED),
    ],
)
def test_a_version_whose_memory_is_gone_has_a_tree_that_says_why(
    line: Line,
    versions: list[RegisteredModel],
    harm: Callable[[Path], object],
    why: str,
) -> None:
    # Without its own a version is known by the memory of one that went on from it.
    harm(line.layout.artifact("memory", versions[0].tags["memory"]))
    assert all(each.files for each in _lineage(line, versions))
    harm(line.layout.artifact("memory", versions[1].tags["memory"]))
    for each in _lineage(line, versions):
        assert (each.documents, each.files, each.unknown) == (None, None, why)
        assert _learned(each) == f"files not known: {why}"
    assert [each["unknown"] for each in as_values(_lineage(line, versions))] == [why, why]


def test_a_newest_memory_that_is_gone_hides_no_older_one(
    line: Line, versions: list[RegisteredModel]
) -> None:
    shutil.rmtree(line.layout.artifact("memory", versions[1].tags["memory"]))
    night, first = _lineage(line, versions)
    assert first.files and night.unknown == "its memory is no longer in the store"


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"ARROW1")])
def test_files_that_cannot_be_read_are_blamed_on_the_damage(
    line: Line, versions: list[RegisteredModel], harm: Callable[[Path], object]
) -> None:
    harm(_files_of_the_first(line, versions))
    night, first = _lineage(line, versions)
    assert night.files and _learned(first) == f"10 documents, files not known: {DAMAGED}"


def test_of_a_version_without_a_memory_the_older_release_is_blamed(
    line: Line, versions: list[RegisteredModel]
) -> None:
    first = replace(versions[0], tags={"model_digest": "0", "corpus": "c"})
    (only,) = _lineage(line, [first], 1)
    assert only.unknown == "an older release registered it without a memory"


def _files_of_the_first(line: Line, versions: list[RegisteredModel]) -> Path:
    """The files of the first segment, in the memory of the second version."""
    return files_path(line.layout.artifact("memory", versions[1].tags["memory"]), "000000")


def _learned(generation: Generation) -> str:
    """What the tree says of it."""
    (said,) = (each for each in as_tree([generation], None) if "   learned " in each)
    return said.partition("learned")[2].strip()


def test_a_version_that_was_refused_says_so(line: Line, versions: list[RegisteredModel]) -> None:
    Ledger(line.layout, "ours").reject(Rejected("1", versions[0].tags["memory"], None))
    assert [each.rejected for each in _lineage(line, versions)] == [False, True]


def test_a_champion_by_hand_is_not_called_rolled_back_before_a_night_has_noted_it(
    line: Line, versions: list[RegisteredModel]
) -> None:
    Ledger(line.layout, "ours").roll_back([Rejected("2", versions[1].tags["memory"], None)], "1")
    assert CHAMPION in versions[1].aliases
    assert not any(
        "refused or rolled back" in each for each in as_tree(_lineage(line, versions), 0)
    )


def test_of_many_files_as_many_are_shown_as_asked_for(
    line: Line, versions: list[RegisteredModel], tmp_path: Path
) -> None:
    for number in range(2, 5):
        _write(tmp_path / "text", number)
    assert line.night()
    (night, *_) = _lineage(line, [*versions, _version(line, 3)], 3)
    tree = "\n".join(as_tree([night], 2))
    assert "text/3.txt" in tree and "text/4.txt" not in tree
    assert "and 1 more: --all shows them" in tree


def test_a_version_that_answers_with_labels_goes_on_to_the_line_it_started_from(
    line: Line, versions: list[RegisteredModel], tmp_path: Path
) -> None:
    rows = Path(write_sentences(tmp_path / "rows.jsonl", range(30)))
    examples = examples_of(line.layout.root, train=str(rows))
    tags = {"model_digest": "e" * 32, "model_content": "c" * 32, "examples": examples.digest}
    tags |= {"started_from": versions[1].uri}
    labels = RegisteredModel("labels", "1", "a run", tags)
    generations = lineage_of(line.layout, [*versions, labels], labels, _record)
    tree = list(as_tree(generations, None))
    assert [each for each in tree if each.startswith("●")] == [
        "● labels version 1, started from models:/ours/2",
        "● ours version 2 (champion), continued from version 1",
        "● ours version 1",
    ]
    said = f"{digest_file(rows)}  {rows}  {rows.stat().st_size:,} bytes, for train"
    assert sum(said in each for each in tree) == 1
    assert as_values(generations)[0]["examples"][0]["sha256"] == digest_file(rows)
    card = render_teaching(labels, examples_files(line.layout, examples.digest))
    assert digest_file(rows) in card and "models:/ours/2" in card
