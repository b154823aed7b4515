"""Text that is shown within markdown, or on a terminal, is not obeyed."""

from html import unescape
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from corpusmill.storage.markup import as_text, on_terminal
from corpusmill.storage.memory import MetFile
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.reports.model_card import render_card
from corpusmill.tasks.reports.run import Outcome, render
from corpusmill.tasks.stages.lineage import Lesson

HOSTILE = "![x](http://evil.example/a.png) <img src=//evil.example> | `a` CURVE www.evil.example"
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
@example(HOSTILE)
@example("**a** _b_ [c](d) <e@f.g> https://h.i &amp; $x^2$ :smile: ~~j~~ # k")
@example("a\\")
def test_text_in_markdown_shows_as_it_is(text: str) -> None:
    page = MARKDOWN.render(f"| - |\n|---|\n| x{as_text(text)}x |\n")
    expected = f"x{' '.join(text.split())}x"
    shown = page.partition("<td>")[2].partition("</td>")[0]
    assert unescape(shown) == expected
    assert "<" not in shown


def test_a_terminal_shows_text_and_does_not_obey_it() -> None:
    assert on_terminal("字\t\x1b]0;title\x07\x9b2J\n") == "字\t�]0;title��2J\n"


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(
        model=HOSTILE,
        version="1",
        champion=True,
        standing=HOSTILE,
        family="causal_lm",
        figures={"bits_per_byte": 2.0},
        decides="bits_per_byte",
        signature="",
        precision="fp32",
        baselines={},
        reasons=[HOSTILE],
        compared=[
            {"text": HOSTILE, "candidate": 1.0, "champion": 1.0, "gain": 0.0, "low": 0.0}
            | {"high": 0.0, "blocks": 1, "few": True}
        ],
        held_out_documents=1,
        held_out_bytes=1,
        tokens_seen=1,
        parameters=1,
        training_seconds=1.0,
        samples=[{"prompt": HOSTILE, "continuation": HOSTILE, "reference": HOSTILE}],
        flow_run_url="http://here/run",
        mlflow_url="http://here/mlflow",
    )


def test_reports_and_cards_hold_no_pictures_and_links_but_their_own(outcome: Outcome) -> None:
    side = {"documents": 1, "bytes": 1}
    counts = {
        "documents": {"in": 2, "kept": 2, "dropped": {}},
        "train": side,
        "validation": side,
        "licences": {HOSTILE: HOSTILE},
    }
    report = MARKDOWN.render(render(outcome, counts, "loss.png"))
    version = RegisteredModel(HOSTILE, "2", "run", {"model_digest": "d", "continued_from": "1"})
    file = MetFile(bytes(16), HOSTILE, HOSTILE, HOSTILE, Path(HOSTILE), 7, "00")
    rendered = render_card(outcome, counts, [HOSTILE], version, [Lesson("c", 1, (file,))])
    card = MARKDOWN.render(rendered.split("---\n", 2)[2])
    assert report.count("<img") == report.count("loss.png") == 1
    assert (report.count("<a "), card.count("<a "), card.count("<img")) == (2, 2, 0)
