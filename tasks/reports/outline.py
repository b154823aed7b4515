"""What a report says, in order: text that has still to be escaped, for HTML and for Markdown."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Table:
    """Rows of words and figures.

    Attributes:
        head: names of the columns; the first holds words, and the last ones do from `words` on.
        strong: number of the row that one came for.
        bars: a share of 0 to 1 for each row, drawn where there is room.
        words: how many of the last columns hold words and no figures.
        broad: it needs the whole width, and on a telephone a block for each row.
        marked: cells to be seen first, by numbers of row and column.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    strong: int | None = None
    bars: tuple[float, ...] = ()
    words: int = 0
    broad: bool = False
    marked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A picture, as SVG that reads on light and on dark, and what it shows in words.

    Attributes:
        broad: it needs the whole width, and on a telephone is moved to and fro.
        instead: what says the same where letters within a picture would not be read.
    """

    title: str
    svg: str
    alt: str
    note: str = ""
    broad: bool = False
    instead: Table | None = None


@dataclass(frozen=True)
class Passage:
    """A prompt, what each model wrote after it, and what a person wrote, where that is known."""

    prompt: str
    written: tuple[str, ...]
    reference: str | None = None


@dataclass(frozen=True)
class Passages:
    """The same prompts, side by side.

    Attributes:
        head: the models' names; empty if there is but one.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[Passage, ...]
    note: str = ""


@dataclass(frozen=True)
class Steps:
    """What a person can do: (why, the command), which is empty where no command does it."""

    title: str
    rows: tuple[tuple[str, str], ...]
    note: str = ""


Part = Table | Plot | Passages | Steps


@dataclass(frozen=True)
class Report:
    """One page.

    Attributes:
        headline: what happened and why, for a person who reads one line.
        tone: whether that is good.
        deck: sentences below it.
        links: (words, address).
    """

    title: str
    headline: str
    tone: Literal["good", "bad", "plain"]
    deck: tuple[str, ...]
    parts: tuple[Part, ...]
    links: tuple[tuple[str, str], ...] = field(default_factory=tuple)
