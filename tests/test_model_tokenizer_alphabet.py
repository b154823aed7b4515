"""Which characters are tokens: those that make up the text, and where they do not fit, a figure."""

import logging
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.model.tokenizer.alphabet import choose_alphabet
from corpusmill.model.tokenizer.config import CHARACTER_COVERAGE, TokenizerConfig
from corpusmill.model.tokenizer.control import control_tokens
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.tokenizer.unigram import train_unigram
from tests.corpora import speeches

HAN = [chr(0x4E00 + number) for number in range(400)]
LETTERS = {*"weathrf"}
BERT = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=429)


def chinese() -> list[str]:
    """Eight kilobytes: each of 400 characters some seven times, with a Latin word in each text."""
    generator = random.Random(0)
    characters = HAN * 7
    generator.shuffle(characters)
    texts = ["".join(characters[start : start + 40]) for start in range(0, len(characters), 40)]
    words = ["weather", "whether", "feather", "father"]
    return [f"{text} {generator.choice(words)}" for text in texts]


def _unknown(folder: Path, texts: list[str]) -> float:
    tokenizer = load_tokenizer(folder)
    tokens = [token for text in texts for token in tokenizer.encode(text).tokens]
    return tokens.count("[UNK]") / len(tokens)


def test_more_than_a_third_of_a_vocabulary_are_characters_where_the_text_is_of_so_many(
    tmp_path: Path,
) -> None:
    texts = chinese()
    train_tokenizer(texts, BERT, tmp_path)
    assert _unknown(tmp_path, texts) == 0


def test_unigram_has_as_many_characters_as_pieces_of_several() -> None:
    control = control_tokens("encoder_decoder", "unigram", infilling=False)
    texts = [f"{text} {text[:9]}" for text in chinese()]
    for room, known in ((840, 400), (600, 300 - len(LETTERS) - 1)):
        tokenizer = train_unigram(texts, len(control) + 256 + room, control)
        assert len({*HAN} & tokenizer.get_vocab().keys()) == pytest.approx(known, abs=1)


def test_the_rare_characters_of_a_text_with_few_are_kept(tmp_path: Path) -> None:
    texts = [*(speech[:2000] for speech in speeches()[::40]), "Ω"]
    config = BERT.model_copy(update={"vocab_size": 700})
    train_tokenizer(texts, config, tmp_path)
    assert _unknown(tmp_path, texts) == 0


def test_where_characters_do_not_fit_a_warning_names_the_vocab_size_that_holds_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = chinese()
    with caplog.at_level(logging.WARNING):
        train_tokenizer(texts, BERT.model_copy(update={"vocab_size": 300}), tmp_path)
    [said] = caplog.messages
    assert "tokenizer.vocab_size is 300, and 4" in said
    assert "of the text becomes [UNK]; set it to" in said
    assert _unknown(tmp_path, texts) > 0.1
    holding = re.search(r"set it to (\d+) or more", said)
    assert holding is not None
    caplog.clear()
    train_tokenizer(texts, BERT.model_copy(update={"vocab_size": int(holding[1])}), tmp_path)
    assert not caplog.messages
    assert _unknown(tmp_path, texts) == 0


def test_what_a_lower_coverage_leaves_out_is_unknown(tmp_path: Path) -> None:
    texts = [*chinese(), "龘"]
    config = {**BERT.model_dump(), "vocab_size": 380, "character_coverage": 0.9}
    train_tokenizer(texts, TokenizerConfig.model_validate(config), tmp_path)
    assert 0.05 < _unknown(tmp_path, texts) < 0.15


COUNTS = st.dictionaries(st.characters(codec="utf-8"), st.integers(1, 9), min_size=1, max_size=60)


@given(COUNTS, st.integers(0, 200), st.sampled_from([0.5, 0.9, 0.9995, 1.0]))
def test_an_alphabet_covers_what_it_shall_wherever_that_fits(
    counts: dict[str, int], room: int, coverage: float
) -> None:
    def size(character: str) -> int:
        return 1 + character.isalpha()

    most = room - room // 8
    found = choose_alphabet(counts, room, most, coverage, size)
    covered = sum(counts[each] for each in found.characters)
    assert found.lost == pytest.approx(1 - covered / sum(counts.values()))
    assert found.short == (covered < coverage * sum(counts.values()))
    assert sum(map(size, found.characters)) <= most
    assert found.short <= (found.size > most)
    assert not choose_alphabet(counts, room, found.size, coverage, size).short


def test_a_coverage_that_is_not_set_is_in_no_identity() -> None:
    assert "character_coverage" not in TokenizerConfig().model_dump()
    assert BERT.character_coverage == CHARACTER_COVERAGE


def test_a_coverage_is_refused_where_every_character_is_written() -> None:
    with pytest.raises(ValidationError, match=r"0\.9, which says nothing to byte-level BPE"):
        TokenizerConfig(character_coverage=0.9)
