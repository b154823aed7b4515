"""Prompts end where a person would pause, and leave something to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.evaluation.passages import passage
from corpusmill.storage.corpus.pairs import join_pair

ENGLISH = (
    "It begins here, with Mr. Hale and No. 7. The year of 3.5 per cent came. Then it went on for a "
    "long time, and nobody knew how long. Some said so. Others did not. It ended as it began."
)
CHINESE = "我们今天讨论国家的经济。人民生活幸福，天气很好！明天还要去北京吗？我想是的，朋友在那里。"


@pytest.mark.parametrize(
    ("text", "length", "prompt"),
    [
        (ENGLISH, 20, "Some said so."),
        (ENGLISH, 200, "It begins here, with Mr. Hale and No. 7. The year of 3.5 per cent came."),
        (CHINESE, 12, "明天还要去北京吗？"),
        (CHINESE, 40, "我们今天讨论国家的经济。"),
        (
            "Before it, all was well.\n" * 9 + "The second line.\nMore.\n" * 9,
            20,
            "The second line.",
        ),
        (
            "Question: how many legs has a spider?\nAnswer: 8",
            80,
            "Question: how many legs has a spider?",
        ),
        ("words without any mark " * 9, 12, "words"),
        ("字" * 99, 10, "字" * 10),
    ],
)
def test_a_prompt_ends_with_a_sentence_a_clause_or_a_word(
    text: str, length: int, prompt: str
) -> None:
    assert passage(text, length) == prompt


def test_the_question_of_a_pair_is_whole_and_its_answer_is_left_to_write() -> None:
    question = "Wie viele Beine hat eine Spinne, die kein Insekt ist, im Allgemeinen also"
    assert passage(join_pair(question, "Acht."), 20) == question


@given(st.text(min_size=1), st.integers(1, 50))
def test_a_prompt_is_of_the_text_and_bounded(text: str, length: int) -> None:
    prompt = passage(text, length)
    assert prompt in text
    assert len(prompt) <= 10 * length
    assert prompt or not text.strip()
