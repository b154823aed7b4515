"""Plots as SVG: without a background, in tones that read on white and on black alike.

A page may dress them otherwise by their classes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Tone = Literal["blue", "orange", "green", "grey"]
_COLOURS: dict[Tone, str] = {
    "blue": "#3f8bd6",
    "orange": "#dd7d22",
    "green": "#35a077",
    "grey": "#8b929b",
}
_RED = "#dc5a4b"
# Small, so that the letters are legible where a phone shows the whole width.
_WIDTH, _HEIGHT = 440.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 14.0, 30.0, 38.0
_SHOWN = 1.25  # times as large where nothing else says how large
_CHARACTER = 7.0  # width of a digit
_LABELS = 132.0  # width of the names beside intervals


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
    x_ticks = _ticks(min(x for x, _ in points), max(x for x, _ in points), 6, 1)
    y_ticks = _ticks(min(y for _, y in points), max(y for _, y in points), 5, 0)
    frame = _Frame(x_ticks, y_ticks)
    # The strong ones last, over the faint.
    drawn = [_curve(line, frame) for line in sorted(lines, key=lambda line: not line.faint)]
    return _svg(_HEIGHT, [*_axes(frame, x_label, y_label), *_key(lines), *drawn])


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
    parts = [_rule(axis.at(tick), 6, axis.at(tick), bottom, "grid") for tick in axis.ticks]
    digits = _digits(100 * (axis.ticks[1] - axis.ticks[0]))
    parts += [
        _text(axis.at(tick), height - 12, f"{100 * tick:+.{digits}f} %" if tick else "0", "middle")
        for tick in axis.ticks
    ]
    parts.append(_rule(axis.at(0), 6, axis.at(0), bottom, "zero"))
    parts.append(_rule(axis.at(-tolerance), 6, axis.at(-tolerance), bottom, "limit"))
    for number, row in enumerate(rows):
        y = 6 + step * (number + 0.5)
        parts.append(_text(0, y + 4, _short(row.label), "start"))
        parts += _whisker(row, axis, y, row.tone(tolerance))
    return _svg(height, parts)


class _Axis:
    """Where shares lie on the picture."""

    def __init__(self, ticks: list[float]) -> None:
        self.ticks = ticks

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return _LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - 2 * _RIGHT)

    def within(self, value: float) -> bool:
        return self.ticks[0] <= value <= self.ticks[-1]


def _span(rows: Sequence[Interval], tolerance: float) -> list[float]:
    """Marks of an axis, with half as much room again at each side as the whole text needs."""
    whole = [row for row in rows if row.whole]
    values = [value for row in whole or rows for value in (row.low, row.value, row.high)]
    low, high = min(*values, -tolerance), max(*values, tolerance)
    room = (high - low) / 2 if whole else 0.0
    every = [value for row in rows for value in (row.low, row.value, row.high)]
    return _ticks(max(low - room, min(*every, low)), min(high + room, max(*every, high)), 4, 0)


def _whisker(row: Interval, axis: _Axis, y: float, tone: str) -> Iterator[Markup]:
    left, right = axis.at(axis.ticks[0]), axis.at(axis.ticks[-1])
    begin, end = (min(max(axis.at(value), left), right) for value in (row.low, row.high))
    yield _rule(begin, y, end, y, f"whisker {tone}")
    if row.low < axis.ticks[0]:
        yield _arrow(left, y, -1, tone)
    if row.high > axis.ticks[-1]:
        yield _arrow(right, y, 1, tone)
    if axis.within(row.value):
        yield _dot(axis.at(row.value), y, tone, row.few)


class _Frame:
    """Where values lie on the picture."""

    def __init__(self, x_ticks: list[float], y_ticks: list[float]) -> None:
        self.x_ticks, self.y_ticks = x_ticks, y_ticks

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(frame: _Frame, x_label: str, y_label: str) -> Iterator[Markup]:
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    digits = _digits(frame.y_ticks[1] - frame.y_ticks[0])
    for tick in frame.y_ticks:
        yield _rule(left, frame.y(tick), right, frame.y(tick), "grid")
        yield _text(left - 6, frame.y(tick) + 4, f"{tick:.{digits}f}", "end")
    for tick in frame.x_ticks:
        label = f"{tick:,.0f}"
        # The last one would be cut at the edge.
        middle = min(frame.x(tick), _WIDTH - len(label) * _CHARACTER / 2)
        yield _text(middle, bottom + 16, label, "middle")
    yield _text((left + right) / 2, _HEIGHT - 5, x_label, "middle")
    yield Markup(
        '<text transform="translate(11 {:.1f}) rotate(-90)" text-anchor="middle" {}>{}</text>'
    ).format((_TOP + bottom) / 2, _FONT, y_label)


def _key(lines: Sequence[Line]) -> Iterator[Markup]:
    x = _LEFT
    for line in lines:
        if line.label:
            yield Markup('<path d="M{:.1f} 12h18" {}/>').format(x, _stroke(line))
            yield _text(x + 23, 16, line.label, "start")
            x += 36 + 6.4 * len(line.label)


def _curve(line: Line, frame: _Frame) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in line.points]
    joined = [place for number, place in enumerate(places) if number not in line.hollow]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in joined)
    parts = [Markup('<path d="M{}" {}/>').format(path, _stroke(line))] if joined else []
    for number, (x, y) in enumerate(places):
        if line.dots or number in line.hollow:
            colour = _COLOURS[line.tone]
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
        _COLOURS[line.tone],
        1.2 if line.faint else 2,
        Markup(' stroke-opacity="0.65"') if line.faint else "",
    )


def _dot(x: float, y: float, tone: str, hollow: bool) -> Markup:
    colour = _TONES[tone]
    return Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="{}" stroke="{}" stroke-width="2"/>'
    ).format(x, y, "none" if hollow else colour, colour)


def _arrow(x: float, y: float, way: int, tone: str) -> Markup:
    """The tip of an arrow at the end of an axis, to the left or to the right."""
    return Markup('<path d="M{:.1f} {:.1f}l{} -5v10z" fill="{}"/>').format(
        x + 4 * way, y, -8 * way, _TONES[tone]
    )


_TONES = {
    "good": _COLOURS["green"],
    "bad": _RED,
    "even": _COLOURS["grey"],
    "doubt": _COLOURS["orange"],
}
_FONT = Markup('font-size="12" font-family="system-ui, sans-serif" fill="#868d96" class="letters"')
_RULES = {
    "grid": Markup('stroke="#868d96" stroke-opacity="0.25"'),
    "zero": Markup('stroke="#868d96" stroke-width="1.5"'),
    "limit": Markup('stroke="{}" stroke-dasharray="4 4"').format(_RED),
    **{
        f"whisker {tone}": Markup('stroke="{}" stroke-width="2"').format(colour)
        for tone, colour in _TONES.items()
    },
}


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" {}/>').format(
        x1, y1, x2, y2, _RULES[kind]
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" {}>{}</text>').format(
        x, y, anchor, _FONT, text
    )


def _short(label: str) -> str:
    """One line without what XML does not hold or what turns the direction of the rest."""
    line = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(label.split()))
    # Names of sources are told apart by their ends as often as by their beginnings.
    return line if len(line) <= 20 else f"{line[:9]}…{line[-10:]}"


def _svg(height: float, parts: Sequence[Markup]) -> str:
    size = Markup('width="{:g}" height="{:g}" viewBox="0 0 {:g} {:g}"').format(
        _SHOWN * _WIDTH, _SHOWN * height, _WIDTH, height
    )
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" {}>').format(size)
    return str(Markup("").join([head, *parts, Markup("</svg>")]))


def _ticks(low: float, high: float, count: int, least: float) -> list[float]:
    """Round numbers from below `low` to above `high`, some `count` of them, `least` apart."""
    if high - low < 1e-9:
        low, high = (
            low - max(0.05 * abs(low), least, 1e-3),
            high + max(0.05 * abs(high), least, 1e-3),
        )
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least, next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough))
    if least and step != int(step):
        step = math.ceil(step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _digits(step: float) -> int:
    """Digits after the point that tell multiples of a step apart."""
    for digits in range(6):
        if abs(round(step, digits) - step) < 1e-9:
            return digits
    return 6
