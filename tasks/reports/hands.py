"""What a report asks of a person: what waits, what was lost, each with the exact command."""

from collections.abc import Iterator, Sequence

from corpusmill.storage.markup import command, quoted
from corpusmill.tasks.reports.corpus.words import counted, one_line
from corpusmill.tasks.reports.outcome import Intake, Outcome, Waiting
from corpusmill.tasks.reports.outline import Table

_NIGHTS_LEFT = 20  # so many as this one must find room on the disk
_FILES_NAMED = 5
_UNREAD_NAMED = 3


def hands(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What a night needs a hand for, and the command; empty where none is needed."""
    waiting = outcome.intake.waiting if outcome.intake else []
    yield from release(outcome.model, waiting)
    if outcome.kind == "unproven":
        yield (
            f"The text of this night waits{' too' if waiting else ''}, and is tried again with "
            f"what comes. To have it tried again {'with all that waits' if waiting else 'alone'}:",
            command("release", outcome.model),
        )
    if outcome.intake:
        yield from ((said, "") for said in noted(outcome.intake))
    found = outcome.costs
    if found and found.written and found.free < _NIGHTS_LEFT * found.written:
        yield (
            f"The disk has room for {found.free // found.written} nights like this one. To see "
            "what no version needs, and with YES=1 to remove it:",
            "make prune",
        )


def undo(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The way back from a night that was promoted."""
    said = "To go back to the champion before, if you see what this report does not:"
    yield said, f"make rollback MODEL={quoted(outcome.model)}"


def release(name: str, waiting: Sequence[Waiting]) -> Iterator[tuple[str, str]]:
    """How what waits is seen and let in; empty where nothing waits."""
    if not waiting:
        return
    count = counted(sum(each.documents for each in waiting), "document")
    verb = "waits" if count.startswith("1 ") else "wait"
    yield (
        f"{count} of {counted(len(waiting), 'file')} {verb}. Take away what does not belong there; "
        "to see all of them:",
        command("release", name, "--list"),
    )
    yield (
        "To let one file in; without --file all of them, and the text of versions that were "
        "refused or rolled back is learned again too:",
        command("release", name, "--file", waiting[0].file),
    )


def aside(waiting: Sequence[Waiting]) -> Table:
    """What waits, and how it begins."""
    rows = [
        (
            each.file,
            str(each.documents),
            f"{in_short(each.why)}. It begins: {one_line(each.excerpt)}",
        )
        for each in waiting[:_FILES_NAMED]
    ]
    left = len(waiting) - len(rows)
    return Table(
        "What waits for you",
        ("file", "documents", "why, and how it begins"),
        tuple(rows),
        note=f"And {counted(left, 'more file')}." if left else "",
        words=1,
        broad=True,
    )


def noted(intake: Intake) -> Iterator[str]:
    """Sentences about what came in that no run mends by itself."""
    if intake.unread:
        yield f"{counted(len(intake.unread), 'file')} not read, or not whole: {unread(intake)}."
    yield from intake.warnings


def unread(intake: Intake) -> str:
    """The first files that were not read, and how many more there are."""
    left = len(intake.unread) - _UNREAD_NAMED
    named = [*intake.unread[:_UNREAD_NAMED], *([f"and {left:,} more"] if left > 0 else [])]
    return "; ".join(named)


def in_short(reason: str) -> str:
    """A reason without its interval and what that rests on."""
    said, interval, _ = reason.rpartition(" (95 %")
    before, colon, gain = (said if interval else reason).rpartition(": ")
    return f"{before}, {gain}" if colon and interval else said or reason
