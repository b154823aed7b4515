"""The task `train`: what names a model."""

from pathlib import Path

import pytest

from corpusmill.model.network.config import BertConfig
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import model_spec
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.layout import Layout

INPUTS = ("shards", "tokenizer", "initial")


def _made(root: Path, kind: str, content: str = "") -> Ref:
    """An artifact whose bytes its digest does not tell."""

    def write(directory: Path) -> None:
        (directory / "x").write_text(content)
        (directory / "config.json").write_text('{"model_type": "gpt2"}')

    ref, _ = obtain(Layout(root), Spec(kind, 1), write)
    return ref


def _digest(root: Path, changed: str) -> str:
    shards, tokenizer, start = (
        _made(root, kind, "other" if kind == changed else "same") for kind in INPUTS
    )
    return model_spec(shards.path, tokenizer.path, start.path, None, TrainConfig(), 1).digest


@pytest.mark.parametrize("changed", INPUTS)
def test_a_model_is_named_by_the_bytes_that_go_in(tmp_path: Path, changed: str) -> None:
    digests = [_digest(tmp_path / str(n), what) for n, what in enumerate(["", "", changed])]
    assert digests[0] == digests[1] != digests[2]


def test_what_says_what_a_word_is_names_a_model_that_masks_whole_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, tokenizer = (_made(tmp_path, kind).path for kind in INPUTS[:2])

    def digest(*, whole_words: bool) -> str:
        train = TrainConfig(objectives=(MaskedTokens(whole_words=whole_words),))
        return model_spec(shards, tokenizer, None, BertConfig(), train, 1).digest

    before = {each: digest(whole_words=each) for each in (True, False)}
    monkeypatch.setattr("corpusmill.storage.packages.version", lambda _: "another")
    assert digest(whole_words=False) == before[False]
    assert digest(whole_words=True) != before[True]
