"""Shards: named by the bytes of the tokenizer, without which their tokens say nothing."""

from pathlib import Path

import pytest
from tokenizers.normalizers import Lowercase

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT
from corpusmill.model.tokenizer.folder import TOKENIZER, load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.artifacts import Ref, Spec, obtain, set_aside
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.shards.reading import TokenStream
from corpusmill.tasks.stages.progress import Hidden
from corpusmill.tasks.stages.shards import make_shards
from tests.corpora import build, sides_of, write_jsonl

TEXTS = [
    f"House number {number} stands by the river. 第{number}座房子在河边。" for number in range(40)
]


@pytest.fixture
def corpus(tmp_path: Path) -> Ref:
    return build(tmp_path, write_jsonl(tmp_path / "x.jsonl", TEXTS), validation_fraction=0.2)


def _tokenizer(layout: Layout, texts: list[str], lowers: bool = False) -> Ref:
    """Of one identity, whatever it is learned from; one that lowers gives no capital back."""

    def write(folder: Path) -> None:
        train_tokenizer(texts, TokenizerConfig(vocab_size=280), folder)
        if lowers:
            lossy = load_tokenizer(folder)
            lossy.normalizer = Lowercase()
            lossy.save(str(folder / TOKENIZER))

    ref, reused = obtain(layout, Spec("tokenizer", 1), write)
    assert not reused
    return ref


def _shards(layout: Layout, corpus: Ref, tokenizer: Ref) -> Ref:
    return make_shards(layout, corpus, tokenizer, corpus, Hidden())


def _texts(shards: Ref, tokenizer: Ref) -> set[str]:
    """What the tokens of the training side say."""
    learned, stream = load_tokenizer(tokenizer.path), TokenStream(shards.path, "train")
    ids = stream.read(0, len(stream)).tolist()
    said = learned.decode(ids, skip_special_tokens=False)
    return set(said.split(END_OF_TEXT)) - {""}


def test_a_tokenizer_learned_again_gets_shards_of_its_own(tmp_path: Path, corpus: Ref) -> None:
    layout, digests = Layout(tmp_path), set()
    trained_on = {text for text, side in sides_of(corpus).items() if side == "train"}
    for texts in (TEXTS, ["other words"] * 99 + TEXTS):
        tokenizer = _tokenizer(layout, texts)
        shards = _shards(layout, corpus, tokenizer)
        assert _texts(shards, tokenizer) == trained_on
        digests.add(shards.digest)
        set_aside(tokenizer.path)
    assert len(digests) == 2


def test_what_the_tokenizer_loses_of_held_out_text_is_counted(tmp_path: Path, corpus: Ref) -> None:
    layout = Layout(tmp_path)
    shards = _shards(layout, corpus, _tokenizer(layout, TEXTS, lowers=True))
    counts = read_manifest(shards.path)["counts"]["validation"]
    assert counts["lost_bytes"] == counts["documents"] > 0  # the H of each
