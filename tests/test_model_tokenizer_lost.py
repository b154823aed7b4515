"""What a tokenizer does not give back, counted byte by byte."""

import random
from functools import cache

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.model.tokenizer.lost import lost_bytes

TEXT = "The sky is Grey today. 雨"


def _lost(texts: list[str], *changes: normalizers.Normalizer) -> int:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(alphabet)}, []))
    tokenizer.normalizer = normalizers.Sequence(list(changes))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    encoded = [np.array(ids, np.uint32) for ids in encode_texts(tokenizer, texts)]
    return int(lost_bytes(tokenizer, texts, encoded).sum())


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ((), 0),
        ((normalizers.Lowercase(),), 2),
        ((normalizers.Replace("雨", "rain"),), 3),
        # A space lost and one added, a word that has moved.
        ((normalizers.Replace("e sk", "esk"), normalizers.Replace("Grey", "G rey")), 1),
        ((normalizers.Replace("sky", ""), normalizers.Replace("Grey", "Grey sky")), 3),
    ],
    ids=str,
)
def test_what_comes_back_elsewhere_is_lost_as_well(
    changes: tuple[normalizers.Normalizer, ...], lost: int
) -> None:
    assert _lost([TEXT], *changes) == lost
    assert _lost(["", TEXT], *changes) == lost


def test_of_a_long_text_no_block_takes_what_belongs_to_the_next() -> None:
    words = random.Random(0).choices(["The ", "Sky ", "is ", "grey. ", "下雨，", "Über "], k=20_000)
    text = "".join(words)
    capitals = sum(len(c.encode()) for c in text if c != c.lower())
    assert _lost([text], normalizers.Lowercase()) == pytest.approx(capitals, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_the_bytes_are_those_outside_the_longest_common_subsequence(seed: int) -> None:
    generator = random.Random(seed)
    text, back = ("".join(generator.choices("ab 雨é", k=12)) for _ in range(2))

    @cache
    def common(here: int, there: int) -> int:
        if not (here and there):
            return 0
        same = text[here - 1] == back[there - 1]
        kept = common(here - 1, there - 1) + len(text[here - 1].encode()) if same else 0
        return max(kept, common(here - 1, there), common(here, there - 1))

    expected = len(text.encode()) - common(12, 12)
    assert _lost([text], normalizers.Replace(text, back)) == expected
