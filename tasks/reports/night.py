"""What the morning report says: made for a person with one minute."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corpusmill.model.config import ProbeResult
from corpusmill.tasks.reports.corpus.words import counted, one_line
from corpusmill.tasks.reports.drawing import Tone
from corpusmill.tasks.reports.first_run import (
    costs,
    figures,
    intake,
    known,
    links,
    samples,
    training_curve,
)
from corpusmill.tasks.reports.hands import aside, hands, in_short, release, undo
from corpusmill.tasks.reports.outcome import Before, Milestone, Outcome, Waiting
from corpusmill.tasks.reports.outline import Part, Passage, Passages, Plot, Report, Steps, Table
from corpusmill.tasks.reports.plots import Interval, Line, draw_intervals, draw_lines
from corpusmill.tasks.stages.evaluation import in_words

_NIGHTS_DRAWN = 5  # of losses, beside that of this night
_PROBES_SHOWN = 3  # versions, beside the champion and this one
_REASONS_SAID = 3
_WHOLE = ("new", "old")  # parts of the text that hold all sources


def describe_night(outcome: Outcome, before: Before) -> Report:
    """The report of a night that has trained."""
    name = f"{outcome.model} version {outcome.version}"
    if outcome.champion:
        said, why = "is promoted", outcome.reasons[0]
    else:
        said, why = "is refused", outcome.standing.partition("; ")[2]
    return Report(
        title=f"{name}, after a night",
        headline=f"{name} {said}: {in_short(why)}",
        tone="good" if outcome.champion else "bad",
        deck=tuple(f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in _deck(outcome, before)),
        parts=tuple(_parts(outcome, before)),
        links=links(outcome),
    )


def _deck(outcome: Outcome, before: Before) -> Iterator[str]:
    yield from outcome.reasons[:_REASONS_SAID]
    if (left := len(outcome.reasons) - _REASONS_SAID) > 0:
        yield f"And {left} more below"
    if outcome.kind == "overtaken":
        yield f"Version {outcome.holder} is the champion; the text is tried again by the next night"
    elif not outcome.champion:
        stays = outcome.holder == before.version
        yield f"Version {outcome.holder} {'stays' if stays else 'is'} the champion"


def describe_quarantine(name: str, waiting: Sequence[Waiting]) -> Report:
    """The report of a night that has learned nothing, for too much looked unlike what was met."""
    count = sum(each.documents for each in waiting)
    return Report(
        title=f"{name}, after a night",
        headline=f"{name} has learned nothing: {counted(count, 'document')} set aside",
        tone="bad",
        deck=(
            "Too much of what is new looks unlike anything met before: it waits for you.",
            "What is left of it is too little to learn from.",
        ),
        parts=(aside(waiting), Steps("What needs a hand", tuple(release(name, waiting)))),
    )


def _parts(outcome: Outcome, before: Before) -> Iterator[Part]:
    waiting = outcome.intake.waiting if outcome.intake else []
    if needed := tuple(hands(outcome)):
        yield Steps("What needs a hand", needed)
    elif outcome.champion:
        yield Steps("Nothing needs a hand", tuple(undo(outcome)))
    yield from _gains(outcome, before)
    if waiting:
        yield aside(waiting)
    if outcome.intake:
        yield intake(outcome.intake)
    yield from _curves(outcome)
    if outcome.probes:
        yield _probes(outcome, before)
    yield _side_by_side(outcome, before) if before.samples else samples(outcome)
    yield figures(outcome)
    if outcome.contamination or outcome.memorisation:
        yield known(outcome)
    if took := costs(outcome):
        yield took


def _gains(outcome: Outcome, before: Before) -> Iterator[Part]:
    rows = outcome.compared
    intervals = [
        Interval(
            row["text"],
            row["low"],
            row["gain"],
            row["high"],
            row["few"],
            wanted=_wanted(row["text"], before),
            whole=row["text"] in _WHOLE,
        )
        for row in rows
    ]
    figure = in_words(outcome.compares)
    if intervals:
        yield Plot(
            "Gain on new text, loss on old",
            draw_intervals(intervals, before.tolerance),
            "; ".join(
                f"{row['text']} text {row['gain']:+.2%}" for row in rows if row["text"] in _WHOLE
            ),
            note=f"Share of the figure of version {before.version}, with intervals of 95 %; right "
            f"of 0 is better. Left of the dashed line old text would have lost more than the "
            f"{before.tolerance:.2%} that is tolerated; a hollow dot rests on few blocks, an "
            "orange one does not show what it has to, and an arrow leads out of the picture.",
        )
    ours, its = f"version {outcome.version}", f"version {before.version}"
    yield Table(
        f"The same in {figure}",
        ("text", "gain", "95 %", ours, its, "documents"),
        tuple(map(_compared, rows)),
        broad=True,
    )


def _wanted(text: str, before: Before) -> float | None:
    """What the lower end has to reach, where it decides."""
    if text == "new":
        return 0.0
    # Other figures of the same text stand beside those that decide.
    return -before.tolerance if text == "old" or text.startswith("old: ") else None


def _compared(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["text"],
        f"{row['gain']:+.2%}",
        f"{row['low']:+.2%} to {row['high']:+.2%}",
        f"{row['candidate']:.4f}",
        f"{row['champion']:.4f}",
        f"{row['documents']:,}{' (few)' if row['few'] else ''}",
    )


def _curves(outcome: Outcome) -> Iterator[Part]:
    line = [*outcome.line, outcome.milestone]
    if len(line) > 1 and (plot := _line_of_versions(line, in_words(outcome.compares))):
        yield plot
    nights = [each for each in outcome.line if each.validation and each.new is not None]
    earlier = nights[-_NIGHTS_DRAWN:]
    if earlier and outcome.milestone.validation:
        lines = [Line("", each.validation, "grey", faint=True) for each in earlier]
        lines.append(
            Line(f"version {outcome.version}", outcome.milestone.validation, "blue", dots=True)
        )
        yield Plot(
            "Held-out loss of the last nights",
            draw_lines(lines, "step", "loss, nats"),
            f"Held-out loss by step, of this night and {len(earlier)} before it",
            note="In grey those before; each night is validated on text of its own.",
        )
    elif curve := training_curve(outcome):
        yield curve


def _line_of_versions(line: Sequence[Milestone], figure: str) -> Plot | None:
    scale = [
        value
        for each in line
        for value in ((each.old, each.new) if each.champion else ())
        if value is not None
    ] or [each.new_before for each in line if each.new_before is not None]
    if not scale:
        return None
    room = max(scale) - min(scale)
    within = min(scale) - room, max(scale) + room
    lines = [
        _over(line, "old text", "blue", [each.old for each in line], within),
        _over(line, "new, before", "grey", [each.new_before for each in line], within, joined=True),
        _over(line, "new, after", "orange", [each.new for each in line], within),
    ]
    svg = draw_lines([each for each in lines if each.points], "version", figure)
    if not svg:
        return None
    last = line[-1]
    alt = ", ".join(
        f"{name} {value:.4f}"
        for name, value in (("old text", last.old), ("new text", last.new))
        if value is not None
    )
    return Plot(
        "The line of versions",
        svg,
        f"{figure} by version; of version {last.version}: {alt}",
        note="New text is another one each night: before is the champion's figure, after that of "
        "the night's version. Rings are versions that were refused or rolled back, if they lie "
        "within the scale.",
    )


def _over(
    line: Sequence[Milestone],
    label: str,
    tone: Tone,
    values: Sequence[float | None],
    within: tuple[float, float],
    joined: bool = False,
) -> Line:
    """One figure over the versions; of those refused, only what lies within the scale."""
    points = [
        (float(each.version), value, each.champion or joined)
        for each, value in zip(line, values, strict=True)
        if value is not None and (each.champion or within[0] <= value <= within[1])
    ]
    hollow = frozenset(place for place, (*_, full) in enumerate(points) if not full)
    return Line(label, [(x, y) for x, y, _ in points], tone, dots=True, hollow=hollow)


def _probes(outcome: Outcome, before: Before) -> Table:
    asked = [each for each in outcome.line if each.probes and each.version != before.version]
    shown = {
        int(each.version): (f"version {each.version}{_marked(each)}", each.probes)
        for each in asked[-_PROBES_SHOWN:]
    }
    if before.probes:
        shown[int(before.version)] = (f"version {before.version}", before.probes)
    columns = [column for _, column in sorted(shown.items())]
    rows = []
    for probe in outcome.probes:
        known = [_of_probe(each, probe.name) for _, each in columns]
        interval = f"{probe.low:.1%} to {probe.high:.1%}"
        rows.append((probe.name, *known, f"{probe.accuracy:.1%}", interval))
    head = (*(name for name, _ in columns), f"version {outcome.version}", "95 %")
    return Table("Probes over nights", ("right answers", *head), tuple(rows), broad=True)


def _marked(milestone: Milestone) -> str:
    if milestone.champion:
        return ""
    return ", rolled back" if milestone.rolled_back else ", refused"


def _of_probe(probes: Sequence[ProbeResult], name: str) -> str:
    found = next((each for each in probes if each.name == name), None)
    return f"{found.accuracy:.1%}" if found else "–"


def _side_by_side(outcome: Outcome, before: Before) -> Passages:
    theirs = {each["prompt"]: each["continuation"] for each in before.samples}
    rows = tuple(
        Passage(
            one_line(each["prompt"]),
            (one_line(theirs.get(each["prompt"])) or "–", one_line(each["continuation"])),
            each["reference"],
        )
        for each in outcome.samples
    )
    head = (f"version {before.version}, yesterday's", f"version {outcome.version}, today's")
    return Passages(
        "The same prompts, yesterday and today",
        head,
        rows,
        note="The prompts are from held-out documents, and both draw with one seed.",
    )
