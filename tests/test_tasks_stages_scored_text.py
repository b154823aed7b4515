"""Text that a model is scored on: every document that can be read, and what cannot is told."""

import gzip
import logging
from pathlib import Path
from typing import Any

import pytest

from corpusmill.flows.config import EvaluateConfig
from corpusmill.flows.overrides import override
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion import parts
from corpusmill.tasks.stages.evaluation import evaluation_spec
from corpusmill.tasks.stages.scored_text import dropped_of, take_text
from tests.registered import EVALUATION


def take(store: Path, *sources: Path) -> Ref:
    given = {"corpus.sources": [str(each) for each in sources]}
    return take_text(Layout(store), override(EvaluateConfig(), given).corpus)


def test_what_cannot_be_read_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = tmp_path / "text"
    text.mkdir()
    (text / "a.txt").write_text("A good text that can be read. " * 20)
    (text / "b.txt.gz").write_bytes(gzip.compress(b"Some text that is here. " * 1000)[:-12])
    (text / "c.png").write_bytes(b"no text")
    ref = take(tmp_path / "store", text)
    dropped = dropped_of(ref)
    assert len(list(read_documents(ref.path, "validation"))) >= 1
    assert sum(dropped.values()) == 2
    (said,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "2 documents cannot be scored" in said.getMessage()
    assert "b.txt.gz" in said.getMessage()
    caplog.clear()
    take(tmp_path / "store", text)
    assert "2 documents cannot be scored" in caplog.text, "it is told of what is reused, too"
    (text / "a.txt").unlink()
    (text / "d.txt").write_text(" ")
    (text / "b.txt.gz").unlink()
    with pytest.raises(CorpusError, match="can be scored"):
        take(tmp_path / "store", text)


def test_a_text_that_is_there_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("A good text that can be read. " * 20)
    first = take(tmp_path / "store", tmp_path / "a.txt")

    def read(*_: Any) -> None:
        raise AssertionError("the text should have been found")

    monkeypatch.setattr(parts, "_write", read)
    assert take(tmp_path / "store", tmp_path / "a.txt") == first
    assert dropped_of(first) == {}


def test_an_evaluation_asked_what_is_known_by_heart_is_another(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")

    model, corpus, other = (
        obtain(Layout(tmp_path), Spec(kind, 1, {}, {"n": kind}), write)[0]
        for kind in ("model", "corpus", "other")
    )
    specs = [evaluation_spec(model, corpus, EVALUATION, each) for each in (None, corpus, other)]
    assert len({spec.digest for spec in specs}) == 3
