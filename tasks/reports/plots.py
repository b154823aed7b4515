"""Plots of runs as SVG: curves over steps and versions, gains with their intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from corpusmill.tasks.reports import drawing
from corpusmill.tasks.reports.drawing import Tone


@dataclass(frozen=True)
class Line:
    """Points of one curve, in order of x.

    Attributes:
        hollow: numbers of points beside the curve, which are marked by a ring.
        dots: whether all other points are marked.
        faint: a curve that stands behind the others.
        label: in the key; empty for none.
    """

    label: str
    points: Sequence[tuple[float, float]]
    tone: Tone
    dots: bool = False
    hollow: frozenset[int] = frozenset()
    faint: bool = False


@dataclass(frozen=True)
class Interval:
    """A value with its interval, as shares.

    Attributes:
        few: the interval says little.
        wanted: what the low end has to reach, or the value itself where the interval says little;
            None where nothing depends on it.
        whole: it is of all text of its kind; the axis has room for it.
    """

    label: str
    low: float
    value: float
    high: float
    few: bool
    wanted: float | None = None
    whole: bool = False

    def tone(self, tolerance: float) -> Literal["good", "bad", "even", "doubt"]:
        """Worse than is tolerated, not shown to be as good as it has to, better, or neither."""
        if self.value < -tolerance:
            return "bad"
        if self.wanted is not None and (self.value if self.few else self.low) < self.wanted:
            return "doubt"
        return "good" if self.value > 0 else "even"


def draw_lines(lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """Curves over a common axis of integers, with a key above; empty without points."""
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    x_ticks = drawing.ticks(min(x for x, _ in points), max(x for x, _ in points), 6, 1)
    y_ticks = drawing.ticks(min(y for _, y in points), max(y for _, y in points), 5, 0)
    frame = drawing.Frame(x_ticks, y_ticks)
    # The strong ones last, over the faint.
    drawn = [curve(line, frame) for line in sorted(lines, key=lambda line: not line.faint)]
    return drawing.svg(
        drawing.HEIGHT, [*drawing.axes(frame, x_label, y_label), *key(lines), *drawn]
    )


def draw_intervals(rows: Sequence[Interval], tolerance: float) -> str:
    """Gains as dots with whiskers on a common axis, 0 and what may be lost marked.

    The axis is that of the whole text: what a source with little text has beyond it is cut off with
    an arrow.
    """
    if not rows:
        return ""
    axis = _Axis(_span(rows, tolerance))
    step, height = 30.0, 30.0 * len(rows) + 40.0
    bottom = height - 30
    parts = [drawing.rule(axis.at(tick), 6, axis.at(tick), bottom, "grid") for tick in axis.ticks]
    digits = drawing.digits_of(100 * (axis.ticks[1] - axis.ticks[0]))
    parts += [
        drawing.text(
            axis.at(tick), height - 12, f"{100 * tick:+.{digits}f} %" if tick else "0", "middle"
        )
        for tick in axis.ticks
    ]
    parts.append(drawing.rule(axis.at(0), 6, axis.at(0), bottom, "zero"))
    parts.append(drawing.rule(axis.at(-tolerance), 6, axis.at(-tolerance), bottom, "limit"))
    for number, row in enumerate(rows):
        y = 6 + step * (number + 0.5)
        parts.append(drawing.text(0, y + 4, drawing.short(row.label), "start"))
        parts += _whisker(row, axis, y, row.tone(tolerance))
    return drawing.svg(height, parts)


class _Axis:
    """Where shares lie on the picture."""

    def __init__(self, ticks: list[float]) -> None:
        self.ticks = ticks

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return drawing.LABELS + (value - low) / (high - low) * (
            drawing.WIDTH - drawing.LABELS - 2 * drawing.RIGHT
        )

    def within(self, value: float) -> bool:
        return self.ticks[0] <= value <= self.ticks[-1]


def _span(rows: Sequence[Interval], tolerance: float) -> list[float]:
    """Marks of an axis, with half as much room again at each side as the whole text needs."""
    whole = [row for row in rows if row.whole]
    values = [value for row in whole or rows for value in (row.low, row.value, row.high)]
    low, high = min(*values, -tolerance), max(*values, tolerance)
    room = (high - low) / 2 if whole else 0.0
    every = [value for row in rows for value in (row.low, row.value, row.high)]
    return drawing.ticks(
        max(low - room, min(*every, low)), min(high + room, max(*every, high)), 4, 0
    )


def _whisker(row: Interval, axis: _Axis, y: float, tone: str) -> Iterator[Markup]:
    left, right = axis.at(axis.ticks[0]), axis.at(axis.ticks[-1])
    begin, end = (min(max(axis.at(value), left), right) for value in (row.low, row.high))
    yield drawing.rule(begin, y, end, y, f"whisker {tone}")
    if row.low < axis.ticks[0]:
        yield _arrow(left, y, -1, tone)
    if row.high > axis.ticks[-1]:
        yield _arrow(right, y, 1, tone)
    if axis.within(row.value):
        yield _dot(axis.at(row.value), y, tone, row.few)


def key(lines: Sequence[Line]) -> Iterator[Markup]:
    """The names of the curves, above them."""
    x = drawing.LEFT
    for line in lines:
        if line.label:
            yield Markup('<path d="M{:.1f} 12h18" {}/>').format(x, _stroke(line))
            yield drawing.text(x + 23, 16, line.label, "start")
            x += 38 + 6.7 * len(line.label)


def curve(line: Line, frame: drawing.Frame) -> Markup:
    """A curve with its marks."""
    places = [(frame.x(x), frame.y(y)) for x, y in line.points]
    joined = [place for number, place in enumerate(places) if number not in line.hollow]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in joined)
    parts = [Markup('<path d="M{}" {}/>').format(path, _stroke(line))] if joined else []
    for number, (x, y) in enumerate(places):
        if line.dots or number in line.hollow:
            colour = drawing.COLOURS[line.tone]
            fill = "none" if number in line.hollow else colour
            parts.append(
                Markup(
                    '<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}" stroke="{}" '
                    'stroke-width="1.5"/>'
                ).format(x, y, fill, colour)
            )
    return Markup("").join(parts)


def _stroke(line: Line) -> Markup:
    return Markup('fill="none" stroke="{}" stroke-width="{}" stroke-linejoin="round"{}').format(
        drawing.COLOURS[line.tone],
        1.2 if line.faint else 2,
        Markup(' stroke-opacity="0.65"') if line.faint else "",
    )


def _dot(x: float, y: float, tone: str, hollow: bool) -> Markup:
    colour = drawing.TONES[tone]
    return Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="{}" stroke="{}" stroke-width="2"/>'
    ).format(x, y, "none" if hollow else colour, colour)


def _arrow(x: float, y: float, way: int, tone: str) -> Markup:
    """The tip of an arrow at the end of an axis, to the left or to the right."""
    return Markup('<path d="M{:.1f} {:.1f}l{} -5v10z" fill="{}"/>').format(
        x + 4 * way, y, -8 * way, drawing.TONES[tone]
    )
