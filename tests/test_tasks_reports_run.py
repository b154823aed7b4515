"""Reports of runs: what they say first, that both renderings say it, and that text stays text."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from corpusmill.model.config import Memorisation
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.night import describe_quarantine
from corpusmill.tasks.reports.outcome import Outcome, Waiting, read_outcome, to_json
from corpusmill.tasks.reports.outline import Plot, Report, Steps
from corpusmill.tasks.reports.plots import Interval, Line, draw_intervals, draw_lines
from corpusmill.tasks.reports.run import describe, known_before
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.contamination import Contamination
from tests.outcomes import HOSTILE, first_run, night
from tests.pages import Page

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE_TEXTS = [
    HOSTILE,
    "<script>alert(1)</script>",
    "</style></section></main><h1>",
    "{{ 7 * 7 }}{% raw %}&lt;",
    "```\n# heading\n```",
    "\u202egnitirw\x1b[31m\x00",
    "W" * 300,
]


def words_of(report: Report) -> list[str]:
    return [command for part in report.parts if isinstance(part, Steps) for _, command in part.rows]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("made", [first_run, night])
def test_hostile_text_changes_nothing_of_the_page(made: object, text: str) -> None:
    assert callable(made)
    plain, hostile = (render_html(describe(made(each))) for each in ("x", text))
    ours, theirs = (Page(html).tags for html in (plain, hostile))
    del ours["i"], theirs["i"]  # where a control character is seen
    assert theirs == ours
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", hostile)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("made", [first_run, night])
def test_hostile_text_changes_nothing_of_the_markdown(made: object, text: str) -> None:
    assert callable(made)
    plain, hostile = (
        re.sub(
            "<code.*?</code>",
            "",
            MARKDOWN.render(render_markdown(describe(made(each)))),
            flags=re.S,
        )
        for each in ("x", text)
    )
    for tag in ("<a ", "<img", "<script", "<h1", "<h2", "<td", "<li", "<pre"):
        assert hostile.count(tag) == plain.count(tag), tag


def test_the_page_asks_for_nothing_else() -> None:
    html = render_html(describe(night()))
    page = Page(html)
    assert page.addresses == ["http://here/mlflow", "http://here/run"]
    assert not page.tags.keys() & {"script", "link", "iframe", "object", "img"}
    assert "url(" not in html and "@import" not in html


def test_the_first_line_of_a_night_says_promoted_or_not_and_why() -> None:
    promoted = describe(night("ours"))
    assert promoted.headline == "ours version 3 is promoted: new text is better, +1.02%"
    reason = "old text may lose more than the 0.30% that is tolerated: -0.10% (95 % between …)"
    refused = replace(night("ours"), champion=False, standing=f"refused; {reason}")
    assert describe(refused).headline == (
        "ours version 3 is refused: old text may lose more than the 0.30% that is tolerated, -0.10%"
    )
    assert "Version 1 stays the champion." in describe(refused).deck


def test_what_waits_is_let_in_by_the_command_that_is_shown() -> None:
    commands = words_of(describe(night("a b")))
    assert "corpusmill release 'a b' --list" in commands
    assert "corpusmill release 'a b' --file 'a b'" in commands


def test_a_night_that_nothing_waits_of_names_the_way_back() -> None:
    found = night("ours")
    assert found.intake
    quiet = replace(found, intake=replace(found.intake, waiting=[]))
    assert words_of(describe(quiet)) == ["make rollback MODEL=ours"]


def test_a_full_disk_needs_a_hand() -> None:
    found = night("ours")
    assert found.costs
    full = replace(found, costs=replace(found.costs, free=3 * found.costs.written))
    assert "make prune" in words_of(describe(full))


def test_a_quarantined_night_shows_what_waits_and_how_it_begins() -> None:
    aside = [Waiting("zh.txt", 4, "its language, zh, is none of en", "我们今天")]
    text = render_markdown(describe_quarantine("ours", aside))
    assert text.startswith("# ours has learned nothing: 4 documents set aside")
    assert "我们今天" in text and "corpusmill release ours --list" in text


def test_both_renderings_show_the_same_prompts_answered_before_and_now() -> None:
    report = describe(night("now"))
    page = Page(render_html(report)).text
    markdown = render_markdown(report)
    for said in ("version 1, yesterday's", "it wrote before", "version 3, today's"):
        assert said in page and said in markdown


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"figures": {"bits_per_byte": 1.2}}, ""),
        ({}, "xz -9e after reading the training text is better than this model"),
        ({"held_out_documents": 1}, "The held-out side is a single document"),
        ({"held_out_bytes": 900}, "are little to judge by"),
    ],
)
def test_a_first_run_says_what_its_figures_are_worth(changed: dict[str, object], said: str) -> None:
    deck = " ".join(describe(replace(first_run("ours"), **changed)).deck)  # type: ignore[arg-type]
    assert said in deck
    assert ("is better than" in deck) == ("figures" not in changed)


def test_the_figures_stand_beside_their_peers_and_perplexity_beside_them() -> None:
    text = Page(render_html(describe(first_run("ours")))).text
    assert (
        "xz -9e after reading the training text 1.900 ours version 1 2.000 xz -9e alone 2.500"
        in text
    )
    assert "perplexity 40.2" in text


def test_in_markdown_long_words_stand_behind_the_figures() -> None:
    text = render_markdown(describe(first_run("ours")))
    assert "| 1.900 | xz -9e after reading the training text |" in text
    assert "| **2.000** | **ours version 1** |" in text
    assert "| perplexity | 40.2 | its own tokens" in text


def test_a_first_run_names_the_next_commands() -> None:
    commands = words_of(describe(first_run("ours")))
    assert [each.split()[:2] for each in commands] == [
        ["corpusmill", "sample"],
        ["prefect", "deployment"],
        ["corpusmill", "nightly"],
    ]


@pytest.mark.parametrize("outcome", [first_run(), night()])
def test_an_outcome_comes_back_from_its_file(outcome: Outcome) -> None:
    again = read_outcome(to_json(outcome))
    assert render_html(describe(again)) == render_html(describe(outcome))


def test_an_encoder_stands_on_the_line_by_the_figure_that_its_nights_compare() -> None:
    first = replace(
        first_run(),
        figures={"masked_accuracy": 0.4},
        decides="masked_accuracy",
        compared_by="loss",
        sources=[SourceFigure(None, 3.5, 3.4, 3.6, 6, 166_050, 80)],
    )
    assert (first.score, first.milestone.old, first.compares) == (0.4, 3.5, "loss")


def test_an_outcome_of_something_else_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(.*\); expected one of this release"):
        read_outcome('{"model": 1}')


VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=9),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
@example([(0, 0.0)], "<&>")
@example([(1, 2.0), (1, 2.0)], "")
@example([(0, 1e-12), (1, 0.0)], "")
def test_any_curve_is_well_formed_and_within_its_picture(
    points: list[tuple[float, float]], label: str
) -> None:
    line = Line(label, points, "blue", dots=True, hollow=frozenset({0}))
    svg = draw_lines([line], label, label)
    if not points:
        assert svg == ""
        return
    root = ElementTree.fromstring(svg)
    for dot in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(dot.attrib["cx"]) <= 440 and 0 <= float(dot.attrib["cy"]) <= 260


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.booleans())
def test_any_interval_is_within_its_picture(values: list[float], few: bool) -> None:
    low, value, high = sorted(values)
    root = ElementTree.fromstring(
        draw_intervals([Interval("a" * 99, low, value, high, few)], 0.003)
    )
    (dot,) = root.iter("{http://www.w3.org/2000/svg}circle")
    assert 0 <= float(dot.attrib["cx"]) <= 440


def test_pictures_have_no_ground_of_their_own() -> None:
    plots = [part for part in describe(night()).parts if isinstance(part, Plot)]
    assert len(plots) == 3
    assert not any("<rect" in plot.svg or "background" in plot.svg for plot in plots)


def test_where_nothing_can_be_said_no_share_is_logged_and_the_report_says_so() -> None:
    short = Contamination("blimp", texts=0, contaminated=0, too_short=1500, runs=0, shared=0)
    nothing = Memorisation(passages=0, verbatim=0, low=0.0, high=1.0, tokens=50)
    outcome = replace(first_run(), contamination=[short], memorisation=nothing)
    assert known_before(outcome) == {}
    text = render_markdown(describe(outcome))
    assert "none long enough (1,500 too short)" in text and "0.0%" not in text
    found = replace(outcome, contamination=[replace(short, texts=4, contaminated=1)])
    assert known_before(found) == {"evaluation/contamination/blimp": 0.25}


def test_few_blocks_have_no_interval() -> None:
    sources = [SourceFigure(name, 1.0, 0.625, 1.375, 2, 4096, 2) for name in (None, "a", "b")]
    text = render_markdown(describe(replace(first_run(), sources=sources)))
    assert "few" in text and "0.625" not in text
