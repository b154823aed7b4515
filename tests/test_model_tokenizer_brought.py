"""Vocabularies brought along: GPT-2's, BERT's and T5's own, and more tokens on top of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from corpusmill.model.tokenizer.acceptance import accept
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT, SENTINELS, end_of_text_id
from corpusmill.model.tokenizer.encoding import Encoder
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.sampling import Piece
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ConfigError, ModelError

VOCABULARIES = Path(__file__).resolve().parents[2] / "shared/data/tokenizer_files_and_tiny_model"
TEXT = (
    "半世为人，不曾教大人心困。虽是搽胭粉，只争不裹头巾。 Tokenisers tokenise tokenisable tokens."
)
ENGLISH = "Tokenisers tokenise tokenisable tokens, do not they?"
TEXTS = [TEXT, f"The [MASK] and the </s> in {END_OF_TEXT} are ordinary text.", "  a\n\nb 🎈"]

pytestmark = pytest.mark.skipif(
    not VOCABULARIES.exists(), reason="the published vocabularies are not beside the checkout"
)


def _gpt2() -> Tokenizer:
    lines = (VOCABULARIES / "gpt2/vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    merges = [(left, right) for left, right in (line.split(" ") for line in lines)]
    vocabulary = json.loads((VOCABULARIES / "gpt2/encoder.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _bert() -> Tokenizer:
    names = (VOCABULARIES / "bert-base-chinese/vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protobuf message: number, and the raw bytes of a string, message or float."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
            if byte < 128:
                return value, at

    at = 0
    while at < len(data):
        key, at = varint(at)
        size = 4
        if key & 7 == 2:
            size, at = varint(at)
        elif key & 7 == 0:
            _, at = varint(at)
            size = 0
        yield key >> 3, data[at : at + size]
        at += size


def _t5() -> Tokenizer:
    import struct

    pieces, charsmap = [], b""
    for number, value in _fields((VOCABULARIES / "t5-base/spiece.model").read_bytes()):
        fields = dict(_fields(value)) if number in (1, 3) else {}
        if number == 1:
            pieces.append((fields[1].decode(), struct.unpack("<f", fields[2])[0]))
        elif number == 3:
            charsmap = fields[2]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


MAKERS = {"causal_lm": _gpt2, "masked_lm": _bert, "encoder_decoder": _t5}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for family, make in MAKERS.items():
        folders[family] = tmp_path_factory.mktemp(family)
        make().save(str(folders[family] / "tokenizer.json"))
    return folders


def _bring(source: Path, family: str, directory: Path, extend_to: int | None = None) -> Path:
    values = {"source": str(source), "family": family, "extend_to": extend_to}
    train_tokenizer([TEXT * 9], TokenizerConfig.model_validate(values), directory)
    return directory


@pytest.mark.parametrize("family", MAKERS)
def test_its_ids_stay_and_no_text_becomes_a_control_token(
    sources: dict[str, Path], family: str, tmp_path: Path
) -> None:
    brought = load_tokenizer(_bring(sources[family], family, tmp_path))
    accept(tmp_path, [Piece(0, ("made", "en"), ENGLISH)])
    ids = brought.encode(TEXT, add_special_tokens=False).ids
    assert ids == MAKERS[family]().encode(TEXT, add_special_tokens=False).ids


def test_each_family_finds_its_control_tokens(sources: dict[str, Path], tmp_path: Path) -> None:
    found = {}
    for family, source in sources.items():
        (tmp_path / family).mkdir()
        found[family] = load_tokenizer(_bring(source, family, tmp_path / family))
    assert end_of_text_id(found["causal_lm"]) == 50256
    assert found["masked_lm"].encode("人").tokens == ["[CLS]", "人", "[SEP]"]
    assert found["encoder_decoder"].encode("the").tokens == ["▁the", "</s>"]
    assert found["encoder_decoder"].token_to_id(SENTINELS[0]) == 32000


@pytest.mark.parametrize("family", MAKERS)
def test_transformers_loads_it_with_the_same_ids(
    sources: dict[str, Path], family: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(_bring(sources[family], family, tmp_path))
    ours = load_tokenizer(tmp_path)
    assert len(theirs) == ours.get_vocab_size()
    for text in (TEXT, "中文English混排 🎈"):
        assert theirs(text)["input_ids"] == ours.encode(text).ids


@pytest.fixture(scope="module")
def extended(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bring(sources["causal_lm"], "causal_lm", tmp_path_factory.mktemp("more"), 50257 + 40)


@pytest.fixture(scope="module")
def grown_and_old(extended: Path) -> tuple[Tokenizer, Tokenizer]:
    return load_tokenizer(extended), _gpt2()


def test_an_extended_vocabulary_keeps_its_ids_and_takes_fewer_tokens(
    grown_and_old: tuple[Tokenizer, Tokenizer],
) -> None:
    grown, old = grown_and_old
    vocabulary = grown.get_vocab()
    assert grown.get_vocab_size() == 50257 + 40
    assert all(vocabulary[token] == number for token, number in old.get_vocab().items())
    assert len(grown.encode(TEXT).ids) < 0.6 * len(old.encode(TEXT).ids)


@settings(max_examples=40)
@given(text=st.text() | st.text("半世为人不曾教大心困 tokens", min_size=5))
def test_an_extended_vocabulary_joins_old_tokens_and_nothing_else(
    grown_and_old: tuple[Tokenizer, Tokenizer], text: str
) -> None:
    grown, old = grown_and_old
    ids = grown.encode(text, add_special_tokens=False).ids
    assert grown.decode(ids, skip_special_tokens=False) == text
    assert len(ids) <= len(old.encode(text).ids)


def test_fastokens_encodes_an_extended_vocabulary(extended: Path) -> None:
    pytest.importorskip("fastokens", reason="fastokens is not installed")
    encoder = Encoder(extended)
    encoder.encode(TEXTS)
    assert encoder.engine_note == ""


def test_wordpieces_are_joined_too(sources: dict[str, Path], tmp_path: Path) -> None:
    _bring(sources["masked_lm"], "masked_lm", tmp_path, 21128 + 5)
    grown, old = load_tokenizer(tmp_path), _bert()
    assert grown.get_vocab().items() >= old.get_vocab().items()
    text = "tokenisable"
    tokens = [each.encode(text, add_special_tokens=False).tokens for each in (grown, old)]
    assert len(tokens[0]) < len(tokens[1])
    assert grown.decode(grown.encode(text).ids) == text


def test_added_tokens_beyond_the_model_keep_their_ids(tmp_path: Path) -> None:
    tokenizer = _gpt2()
    tokenizer.add_special_tokens(["<|im_end|>"])
    for name in ("source", "grown"):
        (tmp_path / name).mkdir()
    tokenizer.save(str(tmp_path / "source/tokenizer.json"))
    (tmp_path / "source/tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    grown = load_tokenizer(_bring(tmp_path / "source", "causal_lm", tmp_path / "grown", 50268))
    assert end_of_text_id(grown) == 50257
    assert grown.get_vocab_size() == 50268
    accept(tmp_path / "grown", [Piece(0, ("made", "en"), TEXT)])


@pytest.mark.parametrize(
    ("family", "wanted", "extend_to", "sentence"),
    [
        ("causal_lm", "causal_lm", 100, "extend_to is 100, but .* has 50257 tokens already"),
        ("causal_lm", "causal_lm", 99_999, r"extend_to is 99999, .* set it to \d+ or less"),
        ("causal_lm", "masked_lm", None, "no pad_token .*, which family 'masked_lm' needs"),
        ("encoder_decoder", "encoder_decoder", 40_000, "is a Unigram of weighed pieces"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    sources: dict[str, Path],
    tmp_path: Path,
    family: str,
    wanted: str,
    extend_to: int | None,
    sentence: str,
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _bring(sources[family], wanted, tmp_path, extend_to)


def test_a_folder_without_tokenizer_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is not a readable tokenizer"):
        _bring(tmp_path, "causal_lm", tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        models.Unigram([("</s>", 0.0), ("a", -1.0)]),
        models.WordPiece({"</s>": 0, "a": 1}),
        models.BPE({"</s>": 0, "a": 1}, []),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_vocabulary_that_cannot_write_every_text_is_refused(
    tmp_path: Path, model: models.Model
) -> None:
    Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="expected bytes to fall back on, or an unknown token"):
        _bring(tmp_path, "causal_lm", tmp_path)


def test_roles_that_are_no_json_are_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    for name in ("source", "made"):
        (tmp_path / name).mkdir()
    content = (sources["causal_lm"] / "tokenizer.json").read_bytes()
    (tmp_path / "source/tokenizer.json").write_bytes(content)
    (tmp_path / "source/tokenizer_config.json").write_text("[1]")
    with pytest.raises(ModelError, match="is not a JSON object"):
        _bring(tmp_path / "source", "causal_lm", tmp_path / "made")
