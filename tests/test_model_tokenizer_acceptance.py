"""Acceptance: what a tokenizer must not do, and what is measured of one that does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.model.tokenizer.acceptance import accept, passages_by_script
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT
from corpusmill.model.tokenizer.encoding import Encoder
from corpusmill.model.tokenizer.sampling import Piece
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ConfigError, ModelError

SAMPLE = [
    Piece(0.1, ("books", "en"), "The old house stands by the river. " * 20),
    Piece(0.2, ("poems", "zh"), "孩子们在屋里读书，雨下了三天三夜。" * 20),
    Piece(0.3, ("books", "ru"), "Старый дом стоит у реки. " * 20),
]
Damage = Callable[[dict[str, Any]], object]


def _train(directory: Path, **values: object) -> Path:
    config = TokenizerConfig.model_validate({"vocab_size": 300, **values})
    train_tokenizer([piece.text for piece in SAMPLE], config, directory)
    return directory


def _damage(directory: Path, damage: Damage) -> None:
    path = directory / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    damage(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_sound_tokenizer_is_measured_by_language_and_script(tmp_path: Path) -> None:
    figures = accept(_train(tmp_path), SAMPLE)
    assert figures.vocab_size == 300
    assert figures.bytes_per_token.keys() == {"en", "zh", "ru"}
    assert all(rate > 1 for rate in figures.bytes_per_token.values())
    assert set(figures.unknown.values()) == {0.0}
    assert figures.scripts == ("cjk", "cyrillic", "latin", "signs")


def test_no_sample_gives_no_figures(tmp_path: Path) -> None:
    assert accept(_train(tmp_path), []).bytes_per_token == {}


def test_passages_are_found_for_a_script_that_comes_once() -> None:
    passages = passages_by_script(["a" * 1000 + "ქ" + "b" * 1000, "中"])
    assert set(passages) == {"latin", "georgian", "cjk"}
    assert "ქ" in passages["georgian"][0]
    assert max(len(text) for texts in passages.values() for text in texts) <= 400


def _hole(value: dict[str, Any]) -> None:
    vocabulary = value["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] += 7


def _twice(value: dict[str, Any]) -> None:
    vocabulary = value["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] -= 1


def _ordinary(value: dict[str, Any]) -> None:
    value["added_tokens"][0]["special"] = False


def _spelled(value: dict[str, Any]) -> None:
    value["pre_tokenizer"]["pretokenizers"].pop(0)
    value["model"]["ignore_merges"] = True


def _lossy(value: dict[str, Any]) -> None:
    first = value["pre_tokenizer"]["pretokenizers"]
    first[0] = {
        "type": "Split",
        "pattern": {"String": "屋"},
        "behavior": "Removed",
        "invert": False,
    }


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_hole, r"do not have the ids from 0 to 299: 299 is missing"),
        (_twice, r"do not have the ids from 0 to 299"),
        (_ordinary, r"which is not among its control tokens"),
        (_spelled, r"The text '<\|endoftext\|>' becomes the control token"),
        (_lossy, r"does not give back a text in the script '(cjk|signs)'"),
    ],
)
def test_a_fault_stops_with_a_sentence(tmp_path: Path, damage: Damage, sentence: str) -> None:
    _damage(_train(tmp_path), damage)
    with pytest.raises(ModelError, match=sentence):
        accept(tmp_path, SAMPLE)


def _added(token: str, **flags: bool) -> Damage:
    def damage(value: dict[str, Any]) -> None:
        number = len(value["model"]["vocab"])
        value["model"]["vocab"][token] = number
        entry = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        value["added_tokens"].append(entry | {"id": number, "content": token} | flags)

    return damage


@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
def test_an_added_token_that_takes_the_spaces_beside_it_is_refused(
    tmp_path: Path, side: str
) -> None:
    _damage(_train(tmp_path), _added("COVID-19"))
    accept(tmp_path, SAMPLE)
    _damage(_train(tmp_path), _added("COVID-19", **{side: True}))
    with pytest.raises(ModelError, match=r"a text with its added token 'COVID-19': .* lstrip"):
        accept(tmp_path, SAMPLE)


def test_one_that_lowercases_is_refused_where_text_must_come_back(tmp_path: Path) -> None:
    _damage(_train(tmp_path), lambda value: value.update(normalizer={"type": "Lowercase"}))
    accept(tmp_path, SAMPLE)
    with pytest.raises(ModelError, match=r"does not give back a text .*'The old house"):
        accept(tmp_path, SAMPLE, exact=True)


def test_a_pattern_that_gives_up_on_a_text_is_a_sentence(tmp_path: Path) -> None:
    def damage(value: dict[str, Any]) -> None:
        value["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": "(a+)+$"}

    _damage(_train(tmp_path), damage)
    text = "a" * 40 + "b"
    sentence = r"does not encode a text \(panic: .*retry-limit"
    with pytest.raises(ModelError, match=sentence):
        accept(tmp_path, [Piece(0, ("odd", "en"), text)])
    with pytest.raises(ModelError, match=sentence):
        Encoder(tmp_path).encode([text])


def test_a_language_that_the_vocabulary_does_not_know_is_refused(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=257)
    train_tokenizer([" ".join(f"word{n}" for n in range(400)) * 3], config, tmp_path)
    with pytest.raises(ConfigError, match=r"% of the tokens of language 'en' are unknown"):
        accept(tmp_path, SAMPLE)


def test_a_language_of_a_handful_of_documents_does_not_stop_the_others(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=257)
    words = " ".join(f"word{number}" for number in range(999))
    train_tokenizer([words], config, tmp_path)
    sample = [Piece(0, ("odd", "en"), words), Piece(0.5, ("odd", "ru"), "Привет")]
    assert accept(tmp_path, sample).unknown == {"en": 0, "ru": 1}


def test_wordpiece_is_accepted_up_to_white_space(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=257)
    words = " ".join(f"word{number}" for number in range(999))
    train_tokenizer([words, *(piece.text for piece in SAMPLE)], config, tmp_path)
    assert accept(tmp_path, SAMPLE).unknown == {"en": 0, "ru": 0, "zh": 0}


def test_end_of_text_spelled_in_the_corpus_is_ordinary_text(tmp_path: Path) -> None:
    train_tokenizer(
        [f"{END_OF_TEXT} " * 500, *(p.text for p in SAMPLE)],
        TokenizerConfig(vocab_size=300),
        tmp_path,
    )
    accept(tmp_path, [Piece(0, ("odd", "en"), f"{END_OF_TEXT} " * 500)])
