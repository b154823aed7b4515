"""What a model card says of the line of its model."""

from pathlib import Path

import pytest

from corpusmill.storage.memory import MetFile
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.reports.model_card import render_lineage
from corpusmill.tasks.stages.lineage import Lesson

TAGS = {"model_digest": "d" * 32, "model_content": "c" * 32, "memory": "e" * 32}


def _lesson(number: int, *licences: str) -> Lesson:
    files = tuple(
        MetFile(bytes(16), "text", licence, f"{number}.txt", Path("/text"), 1_000, 64 * "0")
        for licence in licences
    )
    return Lesson(f"{number:032}", 10, files or None)


def _rows(card: str) -> list[list[str]]:
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


@pytest.mark.parametrize(
    ("tags", "said"),
    [({"continued_from": "4"}, "Continued from version 4."), ({}, "The first of its line.")],
)
def test_a_card_says_what_its_model_goes_back_to_and_its_digests(
    tags: dict[str, str], said: str
) -> None:
    version = RegisteredModel("ours", "5", "run", TAGS | tags)
    card = render_lineage(version, [_lesson(2, "MIT", "CC0-1.0"), _lesson(1, "MIT")])
    assert said in card
    assert _rows(card) == [
        [f"{2:032}", "10", "2", "2,000", "CC0-1.0, MIT"],
        [f"{1:032}", "10", "1", "1,000", "MIT"],
    ]
    assert all(f"`{digest}`" in card for digest in TAGS.values())


def test_what_an_older_release_kept_no_names_of_is_not_known() -> None:
    card = render_lineage(RegisteredModel("ours", "1", "run", TAGS), [_lesson(1)])
    assert _rows(card) == [[f"{1:032}", "10", "not known", "not known", "not known"]]


def test_a_long_line_has_its_older_corpora_in_one_row() -> None:
    lessons = [_lesson(number, "MIT") for number in range(365)]
    rows = _rows(render_lineage(RegisteredModel("ours", "365", "run", TAGS), lessons))
    assert len(rows) == 21
    assert rows[-1] == ["345 before", "3,450", "345", "345,000", "MIT"]
