"""The shapes of the plots, in units that stretch with the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpusmill.tasks.reports.corpus.findings import Amount, Findings, Step
from corpusmill.tasks.reports.corpus.words import power, width


@dataclass(frozen=True)
class Stage:
    """One row of the funnel; widths in percent of what was read.

    Attributes:
        before, after: widths of documents and of bytes, above and below the step.
    """

    step: Step
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def stream(self) -> str:
        """What flows through the step: an SVG path, 200 wide and 60 high, centred on 0."""
        (a, b), (c, d) = self.before, self.after
        return f"M{-a} 0C{-a} 30 {-c} 30 {-c} 60H{d}C{d} 30 {b} 30 {b} 0Z"

    @property
    def losses(self) -> str:
        """What leaves at the step, on both sides."""
        (a, b), (c, d) = self.before, self.after
        left = f"M{-a} 0C{-a} 30 {-c} 30 {-c} 60H{-max(a, c)}Z"
        return f"{left}M{b} 0C{b} 30 {d} 30 {d} 60H{max(b, d)}Z"


def stages(findings: Findings) -> list[Stage]:
    """The steps of the funnel that took something away."""
    rows, before = [], _widths(findings.read, findings.read)
    for step in findings.steps:
        after = _widths(step.left, findings.read)
        if step.lost.documents or step.lost.bytes:
            rows.append(Stage(step, before, after))
        before = after
    return rows


@dataclass(frozen=True)
class Bin:
    """Documents of 2^exponent bytes and more, but fewer than twice that.

    Attributes:
        read_height, kept_height: in percent of the highest bar.
        label: of the axis at the bin's lower end; empty for most.
    """

    exponent: int
    read: int
    kept: int
    read_height: float
    kept_height: float
    label: str

    @property
    def bounds(self) -> str:
        return f"{power(self.exponent)} – {power(self.exponent + 1)}"


def bins(lengths: Mapping[str, Sequence[tuple[int, int]]]) -> list[Bin]:
    """The histogram of document lengths, without gaps."""
    read = dict(lengths["read"])
    kept = dict(lengths["kept"])
    found = read.keys() | kept.keys()
    if not found:
        return []
    exponents = range(min(found), max(found) + 1)
    highest = max([*read.values(), *kept.values()])
    every = 1 + len(exponents) // 6
    return [
        Bin(
            exponent,
            read.get(exponent, 0),
            kept.get(exponent, 0),
            width(read.get(exponent, 0), highest),
            width(kept.get(exponent, 0), highest),
            "" if (exponent - exponents[0]) % every else power(exponent),
        )
        for exponent in exponents
    ]


def median_bin(histogram: Sequence[Bin]) -> Bin | None:
    """The bin that holds the median length of the documents kept."""
    half = sum(each.kept for each in histogram) / 2
    below = 0
    for each in histogram:
        below += each.kept
        if half and below >= half:
            return each
    return None


def final_bars(findings: Findings) -> list[list[float]]:
    """Widths of the training and held-out sides, of documents and of bytes."""
    sides = [_widths(side, findings.read) for side in (findings.train, findings.held_out)]
    return [list(half) for half in zip(*sides, strict=True)]


def _widths(amount: Amount, whole: Amount) -> tuple[float, float]:
    documents = width(amount.documents, whole.documents)
    if amount.bytes is None or whole.bytes is None:
        return documents, documents  # where bytes were not measured, both halves show documents
    return documents, width(amount.bytes, whole.bytes)
