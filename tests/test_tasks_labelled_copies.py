"""Copies of texts: the same to a reader, nearly the same, or another text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.tasks.labelled.copies import find_copies, reading_key
from tests.labelled import sentence

LONG = " ".join(sentence(number) for number in range(1234, 1238))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It's n't so (really) .", "it 's n't so -LRB- really -RRB-"),
        ("lrb a rrb new one", "[A] new one!"),
        ("re-imagining", "re imagining"),
        ("房间很大，很干净。", "房间很大 很干净"),
        ("ＡＢＣ　１２", "abc12"),
    ],
)
def test_texts_that_read_the_same_are(one: str, other: str) -> None:
    assert reading_key(one) == reading_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("good 😀", "good 😡"),
        ("?!", "!!"),
        ("कि", "की"),
        ("Lrbo", "o"),
        ("3 of 10", "4 of 10"),
    ],
)
def test_texts_that_do_not_read_the_same_are_not(one: str, other: str) -> None:
    assert reading_key(one) != reading_key(other)


def test_near_copies_are_joined_and_others_are_not() -> None:
    texts = [LONG, sentence(1), f"{LONG} .", f"so {LONG}", sentence(2), "", LONG[: len(LONG) // 2]]
    found = find_copies(texts, None, 0.8)
    assert found.same.tolist() == [0, 1, 0, 3, 4, 5, 6]
    assert found.component.tolist() == [0, 1, 0, 0, 4, 5, 6]


def test_a_pair_is_alike_in_any_order_and_the_same_in_one() -> None:
    texts, pairs = ["a b", "c", "A. b", "c"], ["c", "a b", "c!", "d"]
    found = find_copies(texts, pairs, 0.8)
    assert found.same.tolist() == [0, 1, 0, 3]
    assert found.alike.tolist() == [0, 0, 0, 3]
    assert found.component.tolist() == [0, 0, 0, 3]


@given(st.text(), st.sampled_from(" .,-\t\u3000!'"), st.integers(0, 20))
def test_spaces_and_punctuation_change_no_text_with_words(text: str, mark: str, at: int) -> None:
    text = f"{text} word"
    # Within one of the marks of a tokeniser it would leave letters.
    if "b" not in text.casefold():
        at = min(at, len(text))
        assert reading_key(text[:at] + mark + text[at:]) == reading_key(text)
