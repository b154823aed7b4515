"""What an extractor yields: texts, unreadable parts of the file, and counts of repairs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One document.

    Attributes:
        number: its place in the file.
        text: its paragraphs separated by blank lines; bytes where their encoding is unknown.
    """

    number: int
    text: str | bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a file that cannot be read; it becomes a Flaw.

    Attributes:
        place, reason, finding, remedy: as in Flaw.
        documents: how many were lost.
        bytes: how many were lost; None if unknown, because the end of the file is missing.
    """

    place: str
    reason: str
    finding: str
    remedy: str
    documents: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """How often something was repaired, decoded or skipped; it becomes a Repaired."""

    name: str
    count: int


Extract = Text | Unreadable | Counted
