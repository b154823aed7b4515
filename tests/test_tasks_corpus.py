"""Ingestion beside other flows on the same store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

import tasks.corpus
from storage.artifacts import Ref, content_digest
from storage.corpus.building import plan_corpus
from storage.corpus.config import CorpusConfig
from storage.layout import Layout
from storage.manifest import read_manifest
from storage.settings import load_settings
from tasks.corpus import ingest, merge


def _sources(folder: Path) -> CorpusConfig:
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"Report {number} of the year {1900 + number}.\n" * 9)
    return CorpusConfig(sources=(str(folder),))


@flow(name="ingest")
def _ingest(home: Path, config: CorpusConfig) -> Ref:
    settings = replace(load_settings(), task_runner="local")
    return ingest(settings, Layout(home), config)


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

    monkeypatch.setattr(tasks.corpus, "merge", merge_second)
    assert content_digest(_ingest(tmp_path / "shared", config)) == expected
    assert read_manifest(made[0].path)["counts"]["documents"]["kept"] == 20
