"""The report of a fine-tuning: what it says first, for every kind of labels, and that text stays
text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from corpusmill.storage.examples.schema import Side, TaskKind
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.reports.drawing import short
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.labels.findings import cut
from corpusmill.tasks.reports.labels.page import describe_labels
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.outline import Passages, Plot, Report, Table
from corpusmill.tasks.stages.answers import Row
from tests.labellings import labelling
from tests.outcomes import HOSTILE
from tests.pages import Page

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE_TEXTS = [
    HOSTILE,
    "<script>alert(1)</script>",
    "</style></section></main></svg><h1>",
    "{{ 7 * 7 }}{% raw %}&lt;",
    "```\n# heading\n```",
    "\u202egnitirw\x1b[31m\x00",
    "W" * 1_000_000,
    "酒店很好" * 100,
]
KINDS: list[TaskKind] = ["classification", "several", "regression"]


def titles(report: Report) -> list[str]:
    return [part.title for part in report.parts]


def part_of(report: Report, title: str) -> Table:
    [table] = [part for part in report.parts if part.title == title]
    assert isinstance(table, Table)
    return table


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_changes_nothing_of_the_page(kind: TaskKind, text: str) -> None:
    plain, hostile = (render_html(describe_labels(labelling(each, kind))) for each in ("x", text))
    ours, theirs = (Page(html).tags for html in (plain, hostile))
    del ours["i"], theirs["i"]  # where a control character is seen
    assert theirs == ours
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", hostile)
    if text.startswith("W"):
        assert "(1,000,000 characters)" in hostile


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_changes_nothing_of_the_markdown(kind: TaskKind, text: str) -> None:
    plain, hostile = (
        re.sub(
            "<code.*?</code>",
            "",
            MARKDOWN.render(render_markdown(describe_labels(labelling(each, kind)))),
            flags=re.S,
        )
        for each in ("x", text)
    )
    for tag in ("<a ", "<img", "<script", "<h1", "<h2", "<td", "<li", "<pre"):
        assert hostile.count(tag) == plain.count(tag), tag


@pytest.mark.parametrize("labels", [2, 15, 49, 50, 120])
def test_pictures_are_well_formed_for_any_number_of_labels(labels: int) -> None:
    report = describe_labels(labelling("<&> \u202e 很好", labels=labels))
    plots = [part for part in report.parts if isinstance(part, Plot)]
    for plot in plots:
        root = ElementTree.fromstring(plot.svg)
        width = float(root.attrib["viewBox"].split()[2])
        for each in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(each.attrib["cx"]) <= width
    confused = next(part for part in report.parts if part.title.startswith("Which label"))
    assert isinstance(confused, Table if labels >= 50 else Plot)
    table = part_of(report, "Label by label")
    assert len(table.rows) == (labels if labels < 50 else 20)


def test_the_first_lines_say_what_a_person_with_a_minute_wants() -> None:
    report = describe_labels(labelling("ours"))
    assert re.fullmatch(
        r"ours version 3 is the champion: \d\d\.\d % accuracy on test, 95 % \d\d\.\d to \d+\.\d %",
        report.headline,
    )
    assert report.tone == "good"
    why, beside, least, worth, saved = report.deck
    assert re.match("It is (worse than|not shown to be better than) TF-IDF: let it learn", least)
    assert why == "Better than ours."
    for name in (
        *("TF-IDF", "the most frequent label", "the same from random weights"),
        *("pretrained embeddings alone", "its mean with TF-IDF"),
    ):
        assert re.search(rf"{name} \d+\.\d %", beside)
    assert beside.startswith("On the same 100 test examples: ")
    assert re.match(r"Pretraining was worth [+-]\d+\.\d points over random weights", worth)
    assert saved == (
        "With 15 % of the labels (1,364) it is as good as random weights with all: 85 % are saved. "
        "With all labels it is below TF-IDF with all."
    )
    assert titles(report)[:3] == [
        "Accuracy on test",
        "What labels are worth",
        "What to know of the examples",
    ]


def test_what_was_tried_stands_with_the_best_first_and_why_one_failed() -> None:
    found = labelling("ours")
    table = part_of(describe_labels(found), "What was tried")
    assert table.head == ("", "steps", "accuracy on validation", "nll", "")
    assert table.rows == (
        ("epochs 4", "4,000", "80.0 %", "0.5000", ""),
        ("epochs 8", "8,000", "–", "–", "ours"),
    )
    assert "What was tried" not in titles(describe_labels(replace(found, tried=())))


def test_one_that_is_not_promoted_says_why_first() -> None:
    worse = Promotion("worse", "candidate; not shown to be better than version 2", "2")
    report = describe_labels(labelling("ours", promotion=worse))
    assert report.headline.startswith("ours version 3 stays a candidate: ")
    assert report.deck[0] == "Not shown to be better than version 2."
    assert report.tone == "plain" and "What to do next" not in titles(report)


def test_without_opponents_the_page_speaks_of_the_model_alone() -> None:
    found = labelling("ours")
    alone = {side: rows[:1] for side, rows in found.rows.items()}
    lengths = [replace(each, beside=None) for each in found.lengths]
    report = describe_labels(replace(found, rows=alone, curves={}, lengths=lengths))
    assert report.deck == ("Better than ours.",)
    assert "What labels are worth" not in titles(report)
    assert "TF-IDF" not in part_of(report, "Short and long texts").head
    assert Page(render_html(report)).text


def test_without_a_test_side_all_is_of_validation() -> None:
    found = labelling("ours")
    rows: dict[Side, Sequence[Row]] = {"validation": found.rows["validation"], "test": []}
    report = describe_labels(replace(found, side="validation", rows=rows))
    assert " on validation, 95 % " in report.headline
    assert titles(report).count("Accuracy on validation") == 1


def test_numbers_are_shown_against_those_given() -> None:
    report = describe_labels(labelling("ours", "regression"))
    assert "Spearman's correlation on test" in titles(report)
    assert "Told against given" in titles(report) and "Label by label" not in titles(report)
    [misses] = [part for part in report.parts if isinstance(part, Passages)]
    assert misses.title == "The worst misses" and "errors of labels" not in misses.note
    assert any("the mean of all" in each for each in report.deck)


def test_the_surest_mistakes_show_their_nearest_training_example() -> None:
    [part] = [
        each for each in describe_labels(labelling("ours")).parts if isinstance(each, Passages)
    ]
    assert len(part.rows) > 5 and "half are errors of labels" in part.note
    said, gold, nearest = part.rows[1].written
    assert re.fullmatch(r"\d ours \(\d\d\.\d% sure\)", said) and re.fullmatch(r"\d ours", gold)
    assert nearest == "ours: ours (cosine 0.50)"
    assert part.rows[0].written[2] == "None shares a word with it."


def test_the_page_asks_for_nothing_else() -> None:
    html = render_html(describe_labels(labelling(labels=15)))
    page = Page(html)
    assert page.addresses == ["http://here/mlflow", "http://here/run"]
    assert not page.tags.keys() & {"script", "link", "iframe", "object", "img"}


@given(st.text(max_size=3_000))
def test_what_is_cut_says_how_long_it_was(text: str) -> None:
    shown = cut(text)
    assert len(shown) < 310 and "\n" not in shown
    if len(" ".join(text.split())) > 280:
        assert shown.endswith(f"… ({len(text):,} characters)")


@given(st.text(), st.integers(5, 60))
def test_a_name_is_no_wider_than_its_room(name: str, columns: int) -> None:
    assert len(short(name, columns)) <= columns
    assert len(short("酒" * 99, columns)) <= columns / 2 + 1
