"""What a digest stands for, wherever a person has met it."""

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corpusmill.storage.artifacts import content_digest
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Ledger, Rejected, SetAside
from corpusmill.storage.memory import Memory
from corpusmill.storage.versions import CHAMPION, RegisteredModel, RunRecord
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.stages.digests import Meaning, Meanings, one_digest
from tests.lines import begin
from tests.stores import artifacts_in, begin_line, make, make_run

RUN, CONFIG, LOST = (f"{number}" * 32 for number in (1, 2, 3))


def _record(_: RegisteredModel) -> RunRecord:
    started = datetime(2026, 11, 30, tzinfo=UTC)
    return RunRecord(RUN, "line nightly", started, {}, {"shards": LOST}, CONFIG)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def versions(layout: Layout) -> list[RegisteredModel]:
    """Two versions of one line, the second the champion."""
    line = begin_line(layout, "line")
    (_, first), (_, second) = line.night(), line.night()
    return [
        RegisteredModel("line", "1", RUN, first),
        RegisteredModel("line", "2", RUN, second, frozenset({CHAMPION})),
    ]


def _found(layout: Layout, versions: list[RegisteredModel], prefix: str) -> list[Meaning]:
    return Meanings(layout, versions, _record).find(prefix)


def _facts(meaning: Meaning) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for name, said in meaning.facts:
        facts.setdefault(name, []).append(said)
    return facts


def test_every_artifact_is_found_by_the_beginning_of_its_digest(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    for kind, digest in artifacts_in(layout):
        found = _found(layout, versions, digest[:10])
        assert one_digest(found)
        assert (found[0].digest, found[0].what) == (digest, f"an artifact: {kind}")


def test_an_artifact_says_from_what_it_is_by_which_config_and_who_needs_it(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    memory = versions[1].tags["memory"]
    shards = Memory(layout.artifact("memory", memory)).segments[0].shards
    facts = _facts(_found(layout, versions, shards)[0])
    assert facts["needed by"] == ["models:/line/1, models:/line/2"]
    assert facts["config"] == ["text = 'line 1'"]
    (tokenizer,) = (layout.artifacts("tokenizer")).iterdir()
    corpus, text = facts["from"]
    assert corpus == f"corpus {versions[0].tags['corpus']} (corpus)"
    assert text.endswith(f"(the bytes of tokenizer {tokenizer.name})")
    nobody = make(layout, "corpus", "of nobody").digest
    (said,) = _facts(_found(layout, versions, nobody)[0])["needed by"]
    assert said.startswith("no version")
    (useful,) = _facts(_found(layout, versions, versions[1].digest)[0])["needed by"]
    assert useful.startswith("versions with an alias")


def test_what_was_pruned_is_told_by_tags_memories_and_inputs(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    corpus = versions[0].tags["corpus"]
    shutil.rmtree(layout.artifact("corpus", corpus))
    said = [each.what for each in _found(layout, versions, corpus[:8])]
    assert "the corpus that models:/line/1 learned from" in said
    assert "a corpus of 1 documents that models:/line/1 was the first to meet" in said
    assert any("was made from" in each for each in said)


def test_bytes_files_runs_ledgers_and_configs_have_digests_too(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    made = make(layout, "model", "mine")
    run = make_run(layout, "ab" * 16, "finished").path.name
    (file,) = (path for path in made.path.iterdir() if path.name == "content.bin")
    ledger = Ledger(layout, "line")
    ledger.reject(Rejected("1", "memory", "cd" * 16))
    ledger.set_aside([SetAside("web", "web/雪.txt", "it is noise", ("ef" * 16,), "雪")], "a night")
    (path,) = (layout.root / "ledgers").iterdir()
    for digest, expected in {
        content_digest(made): f"the bytes of model {made.digest}",
        hashlib.sha256(file.read_bytes()).hexdigest(): f"content.bin of model {made.digest}",
        run: "a training run",
        path.stem: "the ledger of line",
        "cd" * 16: "how version 1 of line, which was refused, was trained",
        "ef" * 16: "a document of web/雪.txt, which waits for a person: it is noise",
        RUN: "the run in MLflow that made models:/line/1",
        CONFIG: "the config of models:/line/1",
        LOST: "the shards that models:/line/1 was made from; no longer there",
    }.items():
        found = _found(layout, versions, digest[:9])
        assert one_digest(found) and found[0].digest == digest
        assert expected in found[0].what


def test_a_config_says_all_that_was_trained_by_it_where_one_version_was_refused(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    Ledger(layout, "line").reject(Rejected("1", "memory", CONFIG))
    assert [each.what for each in _found(layout, versions, CONFIG[:9])] == [
        "the config of models:/line/1",
        "the config of models:/line/2 (champion)",
        "how version 1 of line, which was refused, was trained",
    ]


def test_the_run_that_made_a_version_and_the_one_that_judged_it_last_are_told_apart(
    layout: Layout, versions: list[RegisteredModel]
) -> None:
    tagged = replace(versions[0], tags={**versions[0].tags, "run_id": LOST})
    (made,) = _found(layout, [tagged], RUN[:9])
    (judged,) = _found(layout, [tagged], LOST[:9])
    assert made.what == "the run in MLflow that made models:/line/1"
    assert judged.what == "the run in MLflow that judged models:/line/1 last"


def test_files_and_documents_that_were_met_are_known_by_name_and_side(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    text = tmp_path / "text" / "a.txt"
    text.write_text("\n".join(f"Of {n} houses {n * n} stand." for n in range(10)))
    config = CorpusConfig(sources=(str(tmp_path / "text"),), text_unit="line")
    line = begin(tmp_path / "home", config)
    assert line.memory
    tags = {"model_digest": "a" * 32, "memory": line.memory.digest}
    versions = [RegisteredModel("line", str(number), RUN, tags) for number in (2, 1)]
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    (file,) = _found(line.layout, versions, digest[:8])
    assert (file.digest, file.what) == (digest, "SHA-256 of the file text/a.txt")
    facts = _facts(file)
    assert facts["file"] == [str(text)] and facts["met first by"] == ["models:/line/1"]
    document = hashlib.sha256(b"Of 3 houses 9 stand.").hexdigest()[:32]
    for length in (7, 8, 32):
        (met,) = _found(line.layout, versions, document[:length])
        assert met.digest == document and met.what.startswith("a document, ")


def test_several_digests_with_one_beginning_are_several() -> None:
    one, longer, other = (Meaning(digest, "") for digest in ("ab" * 16, "ab" * 32, "ac" * 16))
    assert one_digest([one, longer]) and not one_digest([one, longer, other])


def test_what_nobody_knows_has_no_meaning(layout: Layout, versions: list[RegisteredModel]) -> None:
    assert _found(layout, versions, "f0f0f0f0f0") == []
