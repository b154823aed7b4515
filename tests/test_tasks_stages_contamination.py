"""Contamination: runs of words of evaluation sets in the training text, against a plain search."""

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.stages import contamination
from corpusmill.tasks.stages.contamination import (
    LONG,
    LONG_UNSPACED,
    SHORT,
    SHORT_UNSPACED,
    WordHashes,
    contamination_of,
)

TRAIN = "It is, in the end, a matter of what the people of these States have asked for; no more."


def test_a_run_of_words_counts_whatever_stands_between_them() -> None:
    sets = {
        "held-out text": [
            f"Before. {TRAIN.upper().replace(', ', ' - ')} After.",
            "None of these words, as they stand here, was ever read by the model that is judged.",
            # One word short of a run, at both ends of others.
            " ".join(TRAIN.split()[:12]) + " but then there is something else to be said of it",
        ],
        "probe": ["In the end a matter of what the people", "Of what the people", "no more " * 5],
    }
    found = list(contamination_of(sets, ["Some text.", TRAIN]))
    assert [(each.name, each.texts, each.contaminated, each.too_short) for each in found] == [
        ("held-out text", 3, 1, 0),
        ("probe", 2, 1, 1),
    ]
    assert found[0].share == pytest.approx(1 / 3)
    words = len(TRAIN.split())
    assert found[0].shared == words - LONG + 1


def test_of_a_script_without_spaces_each_character_is_a_word() -> None:
    text = "老房子站在河边，窗户朝着山。雨下了三天三夜，孩子们在屋里读书"
    # A formula of 15 characters, of which the filter of the training text takes no notice either.
    formula = f"他说过的话我还记得很清楚：{text[:16]}。后来"
    texts = [text, text[:17], text[:9], text[::-1], formula]
    (found,) = contamination_of({"p": texts}, [f"说：{text}！"])
    assert (found.texts, found.contaminated, found.too_short) == (4, 2, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में लिखी गई किताबें", 5),
        ("كِتَابٌ جَدِيدٌ", 2),
        ("می\u200cخواهم بروم", 2),
        ("một hai bốn", 3),
        ("don't wait", 3),
    ],
)
def test_words_go_on_over_their_marks_however_they_are_encoded(text: str, words: int) -> None:
    hashes = WordHashes()
    composed, parted = (hashes.of(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert len(composed) == words and np.array_equal(composed, parted)
    others = hashes.of("किताब कुतुब")
    assert others[0] != others[1]


def test_of_what_is_too_short_no_share_is_told() -> None:
    (found,) = contamination_of({"p": ["too short", "so is this"]}, [TRAIN])
    assert found.share is None
    assert found.in_words == "none of p long enough (2 too short)"


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([40, 1 << 20]))
def test_it_finds_what_a_plain_search_finds(seed: int, piece: int) -> None:
    generator = random.Random(seed)
    spaced = generator.random() < 0.5
    vocabulary = ["a", "b2", "été", "d", "Ab"] if spaced else list("山水日月火")
    long, short = (LONG, SHORT) if spaced else (LONG_UNSPACED, SHORT_UNSPACED)

    def made(words: int) -> list[str]:
        return generator.choices(vocabulary, k=words)

    training = [made(generator.randint(0, 400)) for _ in range(3)]
    # Some of them from the training text.
    tests = [made(generator.randint(0, 40)) for _ in range(5)]
    for words in training:
        start = generator.randint(0, len(words))
        tests.append([*made(3), *words[start : start + generator.randint(5, 30)], *made(2)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination, "_PIECE", piece)
        (found,) = contamination_of(
            {"t": [" ".join(words) for words in tests]}, [" ".join(words) for words in training]
        )

    def runs(words: list[str], length: int) -> list[tuple[str, ...]]:
        lower = [word.lower() for word in words]
        return [tuple(lower[n : n + length]) for n in range(len(lower) - length + 1)]

    known = {run for words in training for n in (long, short) for run in runs(words, n)}
    each = [runs(words, long if len(words) >= long else short) for words in tests]
    assert found.runs == sum(map(len, each))
    assert found.shared == sum(run in known for some in each for run in some)
    assert found.contaminated == sum(any(run in known for run in some) for some in each)
    assert found.too_short == sum(not some for some in each)


def test_a_word_is_the_same_number_wherever_it_stands() -> None:
    hashes = WordHashes()
    assert np.array_equal(hashes.of("The river, the RIVER!"), hashes.of("the river the river"))
