"""Text that is shown within markdown, or on a terminal, is not obeyed."""

import json
import os
import subprocess
from html import unescape
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from corpusmill.storage.markup import as_line, as_text, json_on_terminal, on_terminal, quoted
from corpusmill.storage.memory import MetFile
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.reports.model_card import render_card
from corpusmill.tasks.stages.lineage import Lesson
from tests.outcomes import HOSTILE, first_run

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


# All that Unicode calls Bidi_Control.
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=BIDI)))
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


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@example("it's\n\\n $HOME `id`\t\x1b")
@example("\udcff\n'")
def test_a_shell_takes_what_was_given_from_one_line(text: str) -> None:
    line = quoted(text)
    assert line.isprintable()
    said = subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, check=True)
    assert said.stdout == os.fsencode(text)


def test_what_turns_the_order_of_letters_around_is_shown_and_not_obeyed() -> None:
    shown = "txt.exe".join("�" * (len(BIDI) + 1))
    text = "txt.exe".join(f"{BIDI}\u202e")
    assert as_text(text) == on_terminal(text) == as_line(text) == shown
    assert MARKDOWN.render(as_text(text)) == f"<p>{shown}</p>\n"


@given(st.text())
@example("x.txt\n● ours version 9 (champion)\n\u2028y\u2029z\tw\r\x85")
def test_a_line_on_a_terminal_stays_one(text: str) -> None:
    shown = as_line(text)
    assert len(shown) == len(text) and len(f"x{shown}x".splitlines()) == 1
    assert "\t" not in shown


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@example(f"\x1b\x9b\x7f{BIDI}")
def test_json_on_a_terminal_is_the_same_value(text: str) -> None:
    shown = json_on_terminal(json.dumps([text, text], ensure_ascii=False, indent=2))
    assert json.loads(shown) == [text, text] and on_terminal(shown) == shown


def test_cards_hold_no_pictures_and_links_but_their_own() -> None:
    side = {"documents": 1, "bytes": 1}
    counts = {
        "documents": {"in": 2, "kept": 2, "dropped": {}},
        "train": side,
        "validation": side,
        "licences": {HOSTILE: HOSTILE},
    }
    version = RegisteredModel(HOSTILE, "2", "run", {"model_digest": "d", "continued_from": "1"})
    file = MetFile(bytes(16), HOSTILE, HOSTILE, HOSTILE, Path(HOSTILE), 7, "00")
    rendered = render_card(first_run(), counts, [HOSTILE], version, [Lesson("c", 1, (file,))])
    card = MARKDOWN.render(rendered.split("---\n", 2)[2])
    assert (card.count("<a "), card.count("<img")) == (2, 0)
