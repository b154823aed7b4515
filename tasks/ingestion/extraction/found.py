"""What an extractor gives: texts, and what of a file has none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One document.

    Attributes:
        number: its place in the file.
        text: its paragraphs parted by blank lines; bytes where their encoding is unknown.
    """

    number: int
    text: str | bytes


@dataclass(frozen=True, slots=True)
class Loss:
    """What has no text.

    Attributes:
        place, reason, finding, remedy: as in Flaw.
        documents: lost with it.
        bytes: likewise; None where nobody knows, because the end of the file is missing.
    """

    place: str
    reason: str
    finding: str
    remedy: str
    documents: int
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Passed:
    """So many parts of one kind that were passed over."""

    name: str
    count: int


Extract = Text | Loss | Passed
