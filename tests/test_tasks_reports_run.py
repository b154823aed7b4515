"""Reports of runs: what they say first, that both renderings say it, and that text stays text."""

import re
import shlex
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from corpusmill.flows.command_line import main
from corpusmill.model.config import Memorisation
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.ledger import SetAside
from corpusmill.tasks.reports.gathering import waiting_of
from corpusmill.tasks.reports.hands import in_short
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.markdown import render_markdown
from corpusmill.tasks.reports.night import describe_quarantine
from corpusmill.tasks.reports.outcome import Outcome, Waiting, read_outcome, to_json
from corpusmill.tasks.reports.outline import Plot, Report, Steps, Table
from corpusmill.tasks.reports.run import describe, known_before
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.contamination import Contamination
from tests.outcomes import HOSTILE, first_run, night, probe, sample
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
    steps = [part for part in report.parts if isinstance(part, Steps)]
    return [command for part in steps for _, command in part.rows if command]


def hands_of(report: Report) -> str:
    [steps] = [part for part in report.parts if part.title.endswith("needs a hand")]
    assert isinstance(steps, Steps)
    return " ".join([steps.title, *(why for why, _ in steps.rows)])


def table_of(report: Report, title: str) -> Table:
    [table] = [part for part in report.parts if part.title == title]
    assert isinstance(table, Table)
    return table


def without_waiting(outcome: Outcome) -> Outcome:
    assert outcome.intake
    return replace(outcome, intake=replace(outcome.intake, waiting=[], unread=[]))


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
    refused = replace(
        night("ours"), champion=False, kind="unproven", holder="1", standing=f"refused; {reason}"
    )
    assert describe(refused).headline == (
        "ours version 3 is refused: old text may lose more than the 0.30% that is tolerated, -0.10%"
    )
    assert "Version 1 stays the champion." in describe(refused).deck


def test_a_night_that_was_overtaken_names_the_champion_and_no_command() -> None:
    standing = "refused; version 7 became the champion meanwhile"
    quiet = without_waiting(night("ours"))
    lost = replace(quiet, champion=False, kind="overtaken", holder="7", standing=standing)
    report = describe(lost)
    assert report.headline == "ours version 3 is refused: version 7 became the champion meanwhile"
    assert (
        report.deck[-1] == "Version 7 is the champion; the text is tried again by the next night."
    )
    assert not any("stays" in each for each in report.deck)
    assert words_of(report) == []


def test_what_waits_is_let_in_by_the_command_that_is_shown() -> None:
    commands = words_of(describe(night("a b")))
    assert "corpusmill release 'a b' --list" in commands
    assert "corpusmill release 'a b' --file 'a b'" in commands


def test_a_night_that_nothing_waits_of_names_the_way_back() -> None:
    assert words_of(describe(without_waiting(night("ours")))) == ["make rollback MODEL=ours"]


def test_what_was_not_read_or_cannot_be_learned_needs_a_hand() -> None:
    quiet = without_waiting(night("ours"))
    assert quiet.intake
    unread = [f"{number}.txt: not read" for number in range(12)]
    warned = replace(quiet.intake, unread=unread, warnings=["The source web gave nothing: gone."])
    for made in (quiet, first_run("ours")):
        report = describe(replace(made, intake=warned))
        said = hands_of(report)
        assert said.startswith("What needs a hand 12 files not read, or not whole: 0.txt")
        assert "and 9 more" in said and "The source web gave nothing: gone." in said
        assert "and 9 more" in table_of(report, "Documents").note
        for page in (Page(render_html(report)).text, render_markdown(report)):
            assert "The source web gave nothing: gone." in page
    assert hands_of(describe(quiet)).startswith("Nothing needs a hand")


def test_a_night_that_showed_nothing_says_that_its_text_waits_beside_what_waited_before() -> None:
    unproven = replace(night("ours"), champion=False, kind="unproven", holder="1")
    assert "The text of this night waits too" in hands_of(describe(unproven))
    assert "versions that were refused or rolled back is learned again" in (
        hands_of(describe(unproven))
    )
    harm = replace(unproven, kind="harm")
    assert "The text of this night" not in hands_of(describe(harm))
    alone = describe(without_waiting(unproven))
    assert "tried again alone" in hands_of(alone)
    assert words_of(alone) == ["corpusmill release ours"]


def test_what_waits_is_shown_file_by_file_that_of_the_newest_night_first() -> None:
    def aside(file: str, night: str, count: int) -> SetAside:
        ids = tuple(f"{night}{number}" for number in range(count))
        return SetAside("web", file, f"why {night}", ids, f"text {night}", night)

    old = [aside(f"{number}.txt", "first", 1) for number in range(7)]
    waiting = waiting_of([*old, aside("b.txt", "second", 2), aside("0.txt", "second", 2)])
    assert [each.file for each in waiting][:3] == ["b.txt", "0.txt", "1.txt"]
    assert waiting[1] == Waiting("0.txt", 3, "why second", "text second")
    found = night("ours")
    assert found.intake
    report = describe(replace(found, intake=replace(found.intake, waiting=waiting)))
    assert "11 documents of 8 files wait." in hands_of(report)
    assert table_of(report, "What waits for you").note == "And 3 more files."


def test_of_many_reasons_three_are_said_first() -> None:
    many = replace(night("ours"), reasons=[f"reason {number}" for number in range(8)])
    assert describe(many).deck == ("Reason 0.", "Reason 1.", "Reason 2.", "And 5 more below.")


def test_a_reason_is_cut_at_its_gain_and_not_in_the_name_of_a_source() -> None:
    reason = "old text of a: b (95 % c) loses more than is tolerated: -1.00% (95 % between …)"
    assert in_short(reason) == ("old text of a: b (95 % c) loses more than is tolerated, -1.00%")
    assert in_short("its language: zh") == "its language: zh"


def test_a_night_of_an_encoder_shows_masked_accuracy_and_not_twice_its_loss() -> None:
    figures = {"masked_accuracy": 0.4, "loss": 3.5}
    encoder = replace(night("ours"), figures=figures, decides="masked_accuracy", compared_by="loss")
    shown = [row[0] for row in table_of(describe(encoder), "Other figures").rows]
    assert shown == ["masked accuracy"]
    first = replace(encoder, before=None)
    assert [row[0] for row in table_of(describe(first), "Other figures").rows] == ["loss"]


def test_probes_stand_in_the_order_of_versions_and_say_which_were_refused() -> None:
    found = night("ours")
    assert found.before
    before = replace(found.before, probes=[probe(0.5)])
    last = replace(found.line[-1], version="3", champion=False, rolled_back=True)
    changed = replace(found, version="4", before=before, line=[*found.line, last])
    table = table_of(describe(changed), "Probes over nights")
    assert table.head == (
        "right answers", "version 1", "version 2, refused", "version 3, rolled back", "version 4",
        "95 %",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["--help me", "-x", "it's `so`", "a\nb"])
def test_the_command_line_takes_the_commands_that_are_shown(text: str) -> None:
    first = replace(first_run(text), samples=[sample(text)])
    aside = describe_quarantine(text, [Waiting(text, 1, "why", "it")])
    for command in words_of(describe(first)) + words_of(aside):
        program, verb, *given = shlex.split(command.replace("$'a\\nb'", "'a\nb'"))
        if program != "corpusmill":
            continue
        taken = main.commands[verb].make_context(verb, given).params
        assert taken.get("name", taken.get("model")) == text, command
        assert taken.get("prompt", " ".join(text.split())) == " ".join(text.split())
        assert taken.get("file") in (None, text)


def test_what_it_took_ends_with_all_stages_together() -> None:
    rows = table_of(describe(night("ours")), "What it took").rows
    assert [row[0] for row in rows][-4:-3] == ["altogether"]
    assert ("altogether", "73.3 s") in rows


def test_a_run_that_was_no_night_is_none_of_the_last_nights() -> None:
    found = night("ours")
    pretrained = [each for each in found.line if each.new is None]
    titles = [part.title for part in describe(replace(found, line=pretrained)).parts]
    assert "Held-out loss of the last nights" not in titles and "Loss" in titles
    assert "Held-out loss of the last nights" in [part.title for part in describe(found).parts]


def test_a_candidate_stands_beside_the_champion() -> None:
    said = "version 3, the champion, is better: 1.207 against 2.000"
    candidate = replace(
        first_run("ours"),
        version="4", champion=False, standing=f"candidate; {said}", kind="worse",
        holder="3", holder_score=1.207,
    )  # fmt: skip
    report = describe(candidate)
    assert report.headline == f"ours version 4 stays a candidate: {said}"
    peers = table_of(report, "Bits per byte").rows
    assert peers[0] == ("ours version 3, the champion", "1.207")


def test_commands_can_be_copied_whatever_their_names_and_prompts_begin_with() -> None:
    prompt = {"prompt": "-- he said\n  and\twent", "continuation": "", "reference": None}
    first = replace(first_run("--help me"), samples=[prompt])
    sample, _, nightly = words_of(describe(first))
    assert sample == "corpusmill sample --model '--help me' -- '-- he said and went'"
    assert nightly == "corpusmill nightly --at 02:00 -- '--help me'"
    markdown = render_markdown(describe(replace(night("a"), model="two  blanks")))
    assert "corpusmill release 'two  blanks' --list" in markdown
    assert "corpusmill release a --file $'x\\ny'" in (
        words_of(describe_quarantine("a", [Waiting("x\ny", 1, "why", "it")]))
    )


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
