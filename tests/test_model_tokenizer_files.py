"""Tokenizers that are published as files of their vocabulary: the ids that transformers gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpusmill.model.tokenizer.brought import source_files
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT
from corpusmill.model.tokenizer.files import build_tokenizer
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ModelError
from tests.corpora import speeches

TEXTS = [
    "Tokenisers  don't tokenise 1234 CAFÉS, naïvely; they'LL try.\n\n\tA new line 🎈 ",
    "半世为人，不曾教大人心困。虽是搽胭粉，只争不裹头巾。",
    "Mixed 中文 and English，１２３ and e\u0301 (decomposed).",
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary as GPT-2's is published."""
    directory = tmp_path_factory.mktemp("byte_pairs")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*speeches(1), *TEXTS * 9], trainer)
    tokenizer.model.save(str(directory))
    return directory


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary as BERT's is published."""
    directory = tmp_path_factory.mktemp("words")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=WORDS, show_progress=False)
    tokenizer.train_from_iterator([*speeches(1), *TEXTS * 9, *TEXTS[1] * 9], trainer)
    tokenizer.model.save(str(directory))
    return directory


def _copy(source: Path, directory: Path, settings: dict[str, Any]) -> Path:
    for path in source.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


ADDED = {"content": "<|tool|>", "lstrip": False, "rstrip": False, "special": True}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-2": ("byte_pairs", "GPT2Tokenizer", {}),
    "GPT-2 with a space before": ("byte_pairs", "GPT2Tokenizer", {"add_prefix_space": True}),
    "Qwen": (
        "byte_pairs",
        "Qwen2Tokenizer",
        {"tokenizer_class": "Qwen2TokenizerFast", "added_tokens_decoder": {"600": ADDED}},
    ),
    "BERT": ("words", "BertTokenizer", {}),
    "BERT with capitals": ("words", "BertTokenizer", {"do_lower_case": False}),
    "BERT with accents": ("words", "BertTokenizer", {"strip_accents": False}),
    "BERT with Chinese words": ("words", "BertTokenizer", {"tokenize_chinese_chars": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_ids_are_those_of_transformers(
    case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture, kind, settings = CASES[case]
    directory = _copy(request.getfixturevalue(fixture), tmp_path, settings)
    theirs = getattr(transformers, kind).from_pretrained(directory)
    ours = build_tokenizer(directory)
    for text in [*TEXTS, *speeches(1)]:
        assert ours.encode(text).ids == theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.get_vocab() == theirs.get_vocab()


@pytest.mark.parametrize(
    ("fixture", "family"), [("byte_pairs", "causal_lm"), ("words", "masked_lm")]
)
def test_a_vocabulary_alone_is_brought_along(
    fixture: str, family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(fixture)
    config = TokenizerConfig.model_validate({"source": str(source), "family": family})
    train_tokenizer(TEXTS, config, tmp_path)
    brought, built = load_tokenizer(tmp_path), build_tokenizer(source)
    for text in TEXTS:
        expected = built.encode(text).ids
        assert brought.encode(text, add_special_tokens=False).ids == expected


def test_the_vocabulary_is_part_of_the_identity(byte_pairs: Path) -> None:
    config = TokenizerConfig.model_validate({"source": str(byte_pairs)})
    assert {path.name for path in source_files(config)} == {"vocab.json", "merges.txt"}


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda d: (d / "tokenizer_config.json").write_text(
                '{"tokenizer_class": "CLIPTokenizer"}'
            ),
            "the vocabulary of a CLIPTokenizer without a tokenizer.json",
        ),
        (lambda d: (d / "merges.txt").write_text("#version: 0.2\nq\n"), "no readable vocabulary"),
        (lambda d: (d / "merges.txt").unlink(), "no readable vocabulary"),
        (
            lambda d: (d / "added_tokens.json").write_text('{"<|tool|>": 700}'),
            "gives '<|tool|>' the id 700, but behind its vocabulary it has 600",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(
    damage: Damage, sentence: str, byte_pairs: Path, tmp_path: Path
) -> None:
    directory = _copy(byte_pairs, tmp_path, {})
    damage(directory)
    with pytest.raises(ModelError) as caught:
        build_tokenizer(directory)
    assert sentence in str(caught.value)
