"""Runs without end are cut, and nothing else is."""

import base64
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from corpusmill.model.tokenizer import engines
from corpusmill.model.tokenizer.bpe import PATTERN
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.encoding import Encoder, decode, encode_texts
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.runs import cut_runs, learnable
from corpusmill.model.tokenizer.training import train_tokenizer

LIMIT = 10
WORDS = "The old house stands by the river; it rained for three days and nights. "
DNA = "".join(random.Random(0).choices("ACGT", k=1 << 20))


@given(
    runs=st.lists(
        st.tuples(st.sampled_from(["a", " ", "-", "中", "a9_"]), st.integers(1, 5 * LIMIT)),
        max_size=6,
    )
)
def test_cuts_lie_within_runs_and_leave_none_long(runs: list[tuple[str, int]]) -> None:
    text = "".join((letters * length)[:length] for letters, length in runs)
    parts = cut_runs(text, LIMIT)
    assert "".join(parts) == text
    assert all(_kind(left[-1]) == _kind(right[0]) for left, right in pairwise(parts))
    assert all(_longest(part) < 3 * LIMIT for part in parts)
    if _longest(text) < LIMIT:
        assert parts == [text]


def _kind(character: str) -> str:
    return "space" if character.isspace() else "word" if character in "a9_中" else "sign"


def _longest(text: str) -> int:
    longest = length = 0
    before = ""
    for character in text:
        length = length + 1 if _kind(character) == before else 1
        before = _kind(character)
        longest = max(longest, length)
    return longest


def test_eleven_million_spaces_and_a_letter_are_encoded() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, " a": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    [ids] = encode_texts(tokenizer, [" " * 11_000_000 + "a"])
    assert (ids[-1], set(ids[:-1])) == (1, {0})


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer learned from text with a word of a million letters in it."""
    directory = tmp_path_factory.mktemp(request.param)
    config = TokenizerConfig(algorithm=request.param, vocab_size=300)
    train_tokenizer([WORDS * 9, DNA], config, directory)
    return directory


def test_a_text_whose_runs_are_cut_comes_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENCODED", LIMIT)
    tokenizer, encoder = load_tokenizer(folder), Encoder(folder)
    texts = [f"a{' ' * 95}b{'中é' * 40}\n{'-' * 50}", WORDS, "", DNA[:99]]
    ids, ends = encoder.encode(texts)
    wanted = encode_texts(tokenizer, texts)
    assert [decode(tokenizer, each, skip_special_tokens=False) for each in wanted] == texts
    assert ids.tolist() == [number for each in wanted for number in [*each, encoder.closing]]
    assert ends.tolist() == [sum(len(each) + 1 for each in wanted[: n + 1]) for n in range(4)]


def test_text_without_such_runs_keeps_its_ids(folder: Path) -> None:
    tokenizer, texts = load_tokenizer(folder), [WORDS * 2000, "- " * 40_000]
    wanted = [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert encode_texts(tokenizer, texts) == wanted


def test_of_runs_of_few_letters_the_beginning_teaches() -> None:
    han = "".join(map(chr, range(0x4E00, 0x6E00)))
    kept = list(learnable([WORDS * 99, DNA, DNA, han, "- " * 9_999]))
    assert (kept[0], kept[-1]) == (WORDS * 99, "- " * 9_999)
    assert "".join(kept[-1 - len(cut_runs(han, 1 << 10)) : -1]) == han
    assert sum(map(len, kept[1:])) < len(han) + 40_000


@pytest.mark.parametrize(
    "encoded", [base64.b64encode, base64.encodebytes], ids=["one line", "lines"]
)
def test_of_what_is_random_the_beginning_teaches(encoded: Callable[[bytes], bytes]) -> None:
    noise = encoded(random.Random(0).randbytes(700_000)).decode()
    texts = [WORDS + noise + WORDS, noise, WORDS * 99, "".join(WORDS.split()) * 99, "", "中" * 2000]
    kept = list(learnable(texts))
    assert sum(map(len, kept)) < sum(map(len, [*texts[2:], WORDS, WORDS])) + 40_000
    joined = "".join(kept)
    assert joined.startswith(WORDS + noise[:1000])
    assert joined.endswith("".join(texts[2:]))
    assert joined.count(WORDS) == 2 + 99
    assert list(learnable(texts[2:5])) == texts[2:5]
