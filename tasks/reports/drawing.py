"""What plots are drawn with: SVG without a background, in tones that read on white and on black.

A page may dress the letters otherwise by their classes.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from markupsafe import Markup

Tone = Literal["blue", "orange", "green", "grey"]
COLOURS: dict[Tone, str] = {
    "blue": "#3f8bd6",
    "orange": "#dd7d22",
    "green": "#35a077",
    "grey": "#8b929b",
}
RED = "#dc5a4b"
TONES = {
    "good": COLOURS["green"],
    "bad": RED,
    "even": COLOURS["grey"],
    "doubt": COLOURS["orange"],
}
# Small, so that the letters are legible where a phone shows the whole width.
WIDTH, HEIGHT = 440.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 14.0, 30.0, 38.0
LABELS = 132.0  # width of names beside a picture
CHARACTER = 7.0  # width of a digit
_SHOWN = 1.25  # times as large where nothing else says how large
_COLUMNS = 20  # of a name, as wide as Latin letters
_FONT = Markup('font-size="12" font-family="system-ui, sans-serif" fill="#868d96" class="letters"')
_RULES = {
    "grid": Markup('stroke="#868d96" stroke-opacity="0.25"'),
    "zero": Markup('stroke="#868d96" stroke-width="1.5"'),
    "ideal": Markup('stroke="#868d96" stroke-dasharray="4 4"'),
    "limit": Markup('stroke="{}" stroke-dasharray="4 4"').format(RED),
    **{
        f"whisker {tone}": Markup('stroke="{}" stroke-width="2"').format(colour)
        for tone, colour in TONES.items()
    },
    **{
        f"thin {tone}": Markup('stroke="{}" stroke-width="1.2" stroke-opacity="0.6"').format(colour)
        for tone, colour in COLOURS.items()
    },
}


@dataclass(frozen=True)
class Frame:
    """Where values lie on the picture.

    Attributes:
        x_ticks, y_ticks: what is marked on the axes; their first and last are its edges.
        x_names: what stands at the marks below; empty for whole numbers, as they are.
        height: of the picture.
    """

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    x_names: Sequence[str] = ()
    height: float = HEIGHT

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)


def axes(frame: Frame, x_label: str, y_label: str) -> Iterator[Markup]:
    """Marks, a grid of lines and what the axes show."""
    left, right, bottom = LEFT, WIDTH - RIGHT, frame.height - BOTTOM
    digits = digits_of(frame.y_ticks[1] - frame.y_ticks[0])
    for tick in frame.y_ticks:
        yield rule(left, frame.y(tick), right, frame.y(tick), "grid")
        yield text(left - 6, frame.y(tick) + 4, f"{tick:.{digits}f}", "end")
    names = frame.x_names or [f"{tick:,.0f}" for tick in frame.x_ticks]
    for tick, name in zip(frame.x_ticks, names, strict=True):
        # The last one would be cut at the edge.
        middle = min(frame.x(tick), WIDTH - len(name) * CHARACTER / 2)
        yield text(middle, bottom + 16, name, "middle")
    yield text((left + right) / 2, frame.height - 5, x_label, "middle")
    yield upright(11, (TOP + bottom) / 2, y_label, "middle")


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A line."""
    return Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" {}/>').format(
        x1, y1, x2, y2, _RULES[kind]
    )


def text(x: float, y: float, said: str, anchor: str) -> Markup:
    """Letters on a line; `anchor` is start, middle or end."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" {}>{}</text>').format(
        x, y, anchor, _FONT, said
    )


def upright(x: float, y: float, said: str, anchor: str) -> Markup:
    """Letters on a line that goes up."""
    return Markup(
        '<text transform="translate({:.1f} {:.1f}) rotate(-90)" text-anchor="{}" {}>{}</text>'
    ).format(x, y, anchor, _FONT, said)


def short(label: str, columns: int = _COLUMNS) -> str:
    """One line without what XML does not hold or what turns the direction of the rest.

    Args:
        columns: how wide it may be; a Chinese character is as wide as two Latin letters.
    """
    # More than fits is not looked at, whatever there is.
    label = label if len(label) <= 2 * columns else f"{label[:columns]}…{label[-columns:]}"
    line = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(label.split()))
    if sum(map(_width, line)) <= columns:
        return line
    # Names of sources are told apart by their ends as often as by their beginnings.
    last = _fitting(line[::-1], columns // 2)[::-1]
    return f"{_fitting(line, columns - columns // 2 - 1)}…{last}"


def width_of(line: str) -> float:
    """Pixels that letters take, roughly."""
    return CHARACTER * sum(map(_width, line))


def svg(height: float, parts: Sequence[Markup], width: float = WIDTH) -> str:
    """A picture of these parts."""
    size = Markup('width="{:g}" height="{:g}" viewBox="0 0 {:g} {:g}"').format(
        _SHOWN * width, _SHOWN * height, width, height
    )
    if width > WIDTH:
        # Else its letters would be larger than all others, or smaller than can be read.
        size += Markup(' style="min-width:{:g}px;max-width:{:g}px"').format(width, _SHOWN * width)
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" {}>').format(size)
    return str(Markup("").join([head, *parts, Markup("</svg>")]))


def ticks(low: float, high: float, count: int, least: float) -> list[float]:
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


def digits_of(step: float) -> int:
    """Digits after the point that tell multiples of a step apart."""
    for digits in range(6):
        if abs(round(step, digits) - step) < 1e-9:
            return digits
    return 6


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitting(line: str, columns: int) -> str:
    widths = accumulate(map(_width, line))
    return line[: sum(1 for width in widths if width <= columns)]
