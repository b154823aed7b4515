"""The tokenizer of a corpus: what it is made from names it, what it found is in its manifest."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import SCHEMA
from corpusmill.storage.errors import ConfigError, ModelError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.tokenizer import make_tokenizer

CONFIG = TokenizerConfig(vocab_size=300)


@pytest.fixture
def corpus(tmp_path: Path) -> Ref:
    rows = [
        ("books", "a.txt", "en", f"The house number {n} stands by the river.") for n in range(99)
    ]
    rows += [("poems", "b.txt", "zh", f"雨下了{n}天，孩子们在屋里读书。") for n in range(33)]
    source, file, language, text = zip(*rows, strict=True)
    columns = [[str(number) for number in range(len(rows))], source, file, language, text]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)]
    with pa.ipc.new_file(tmp_path / "train.arrow", SCHEMA) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), max_chunksize=50)
    return Ref("corpus", "0" * 32, tmp_path)


def _make(tmp_path: Path, corpus: Ref, **values: object) -> Ref:
    config = TokenizerConfig.model_validate({**CONFIG.model_dump(), **values})
    return make_tokenizer(Layout(tmp_path / "home"), corpus, config)


def test_the_manifest_tells_engine_sample_and_compression(tmp_path: Path, corpus: Ref) -> None:
    tokenizer = _make(tmp_path, corpus)
    counts = read_manifest(tokenizer.path)["counts"]
    assert counts["engine"].startswith(("rustbpe", "tokenizers"))
    assert counts["vocab_size"] == load_tokenizer(tokenizer.path).get_vocab_size() == 300
    assert counts["sample_bytes"].keys() == {"books/en", "poems/zh"}
    assert counts["bytes_per_token"].keys() == {"en", "zh"}
    assert counts["scripts"] == ["cjk", "latin", "signs"]


def test_it_is_made_once_and_again_when_its_configuration_changes(
    tmp_path: Path, corpus: Ref
) -> None:
    first = _make(tmp_path, corpus)
    assert _make(tmp_path, corpus) == first
    others: list[dict[str, object]] = [
        {"vocab_size": 301},
        {"sample_exponent": 0.5},
        {"family": "masked_lm"},
    ]
    assert (
        len({_make(tmp_path, corpus, **values).digest for values in others} | {first.digest}) == 4
    )


def test_it_is_made_again_where_another_engine_learns(
    tmp_path: Path, corpus: Ref, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rustbpe", reason="rustbpe is not installed")
    first = _make(tmp_path, corpus)
    monkeypatch.setitem(sys.modules, "rustbpe", None)
    assert _make(tmp_path, corpus).digest != first.digest


def test_one_brought_along_is_known_by_its_bytes(tmp_path: Path, corpus: Ref) -> None:
    source = _make(tmp_path, corpus)
    brought = _make(tmp_path, corpus, source=str(source.path))
    assert read_manifest(brought.path)["inputs"].keys() >= {"corpus", "tokenizer.json"}
    assert "brought along" in read_manifest(brought.path)["counts"]["engine"]
    path = source.path / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert _make(tmp_path, corpus, source=str(source.path)).digest != brought.digest


def test_one_made_here_can_be_extended(tmp_path: Path, corpus: Ref) -> None:
    source = _make(tmp_path, corpus, vocab_size=280)
    grown = _make(tmp_path, corpus, source=str(source.path), extend_to=300)
    old = load_tokenizer(source.path).get_vocab()
    assert load_tokenizer(grown.path).get_vocab().items() >= old.items()


def test_a_fault_leaves_nothing_behind(tmp_path: Path, corpus: Ref) -> None:
    with pytest.raises(ConfigError, match="hold only"):
        _make(tmp_path, corpus, vocab_size=100_000)
    with pytest.raises(ModelError, match="is not a readable tokenizer"):
        _make(tmp_path, corpus, source=str(tmp_path / "nowhere"))
    assert not list((tmp_path / "home").rglob("manifest.json"))
