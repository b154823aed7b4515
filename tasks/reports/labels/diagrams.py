"""Pictures of answers: confusion, reliability, learning curves, numbers told against given ones."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from corpusmill.model.tasks.reliability import Bin
from corpusmill.tasks.reports import drawing
from corpusmill.tasks.reports.drawing import Tone
from corpusmill.tasks.reports.plots import Line, curve, key
from corpusmill.tasks.stages.learning_curve import Learner, Point

NAMES: Mapping[Learner, str] = {
    "pretrained": "pretrained",
    "scratch": "random weights",
    "tfidf": "TF-IDF",
}
_TONES: Mapping[Learner, Tone] = {"pretrained": "blue", "scratch": "grey", "tfidf": "orange"}
_SQUARE = 400.0  # height of a picture whose axes are alike
_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Of a cell of a confusion matrix.
_SMALLEST, _LARGEST = 26.0, 72.0
_DARKEST = 0.7  # of a cell, on which letters are still read on light and on dark screens
_POINTS = 1_000  # of a cloud, in which more would not be told apart


def draw_learning_curve(curves: Mapping[Learner, Sequence[Point]], figure: str) -> str:
    """A figure of each learner by the share of the labels it has learned from, on a logarithm."""
    points = [point for each in curves.values() for point in each]
    shares = sorted({(point.share, point.examples) for point in points})
    ends = [end for point in points for end in (point.figure.low, point.figure.high)]
    known = [end for end in ends if not math.isnan(end)]
    y_ticks = drawing.ticks(min(known, default=0.0), max(known, default=1.0), 5, 0)
    frame = drawing.Frame(
        [math.log(share) for share, _ in shares],
        y_ticks,
        [f"{100 * share:g} %: {count:,}" for share, count in shares],
    )
    lines = [
        Line(
            NAMES[name],
            [(math.log(point.share), point.figure.value) for point in each],
            _TONES[name],
            dots=True,
        )
        for name, each in curves.items()
    ]
    whiskers = [
        drawing.rule(x, frame.y(point.figure.low), x, frame.y(point.figure.high), f"thin {tone}")
        for number, (name, each) in enumerate(curves.items())
        for point in each
        if not math.isnan(point.figure.low)
        # Beside each other, where the figures are alike.
        for x, tone in [(frame.x(math.log(point.share)) + 3 * (number - 1), _TONES[name])]
    ]
    drawn = [curve(line, frame) for line in reversed(lines)]
    axes = drawing.axes(frame, "labels learned from", figure)
    return drawing.svg(frame.height, [*axes, *key(lines), *whiskers, *drawn])


def draw_reliability(before: Sequence[Bin], after: Sequence[Bin], names: tuple[str, str]) -> str:
    """How many answers are right by how sure they are; on the dashed line as many as they say.

    Args:
        before, after: scaling.
        names: of both, in the key.
    """
    frame = _square()
    places = [[(each.confidence, each.accuracy) for each in bins] for bins in (before, after)]
    lines = [Line(names[0], places[0], "grey", faint=True), Line(names[1], places[1], "blue")]
    parts = [*drawing.axes(frame, "how sure", "how often right"), *key(lines), _diagonal(frame)]
    for line, bins in zip(lines, (before, after), strict=True):
        parts.append(curve(line, frame))
        every = sum(each.answers for each in bins)
        parts += [
            _disc(
                frame.x(each.confidence),
                frame.y(each.accuracy),
                2 + 8 * math.sqrt(each.answers / every),
                line.tone,
            )
            for each in bins
        ]
    return drawing.svg(frame.height, parts)


def draw_told(gold: np.ndarray, said: np.ndarray) -> str:
    """Numbers that are told against those that are given; float64 (N,) each."""
    step = -(-len(gold) // _POINTS)
    ends = [float(each) for side in (gold, said) for each in (side.min(), side.max())]
    ticks = drawing.ticks(min(ends), max(ends), 5, 0)
    digits = drawing.digits_of(ticks[1] - ticks[0])
    frame = drawing.Frame(ticks, ticks, [f"{tick:.{digits}f}" for tick in ticks], _SQUARE)
    parts = [*drawing.axes(frame, "given", "told"), _diagonal(frame)]
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}" fill-opacity="0.35"/>').format(
            frame.x(given), frame.y(told), drawing.COLOURS["blue"]
        )
        for given, told in zip(gold[::step].tolist(), said[::step].tolist(), strict=True)
    ]
    return drawing.svg(frame.height, parts)


def draw_confusion(counts: np.ndarray, labels: Sequence[str]) -> str:
    """How many examples of each label, in rows, each label is said of; shaded by shares of rows.

    Args:
        counts: int64 (gold, said).
    """
    names = [drawing.short(each, 16) for each in labels]
    room = drawing.WIDTH - drawing.LABELS - drawing.RIGHT
    cell = min(_LARGEST, max(_SMALLEST, room / len(labels)))
    width = max(drawing.WIDTH, drawing.LABELS + cell * len(labels) + drawing.RIGHT)
    heads = 14 + max(map(drawing.width_of, names), default=0)
    height = heads + cell * len(labels) + 8
    parts = [
        drawing.upright(drawing.LABELS + (column + 0.5) * cell + 4, heads - 6, name, "start")
        for column, name in enumerate(names)
    ]
    for row, (name, line) in enumerate(zip(names, counts.tolist(), strict=True)):
        top = heads + row * cell
        parts.append(drawing.text(drawing.LABELS - 8, top + cell / 2 + 4, name, "end"))
        every = sum(line)
        parts += [
            _cell(drawing.LABELS + column * cell, top, cell, (count, every), row == column)
            for column, count in enumerate(line)
            if count
        ]
    return drawing.svg(height, parts, width)


def _cell(x: float, y: float, size: float, of: tuple[int, int], right: bool) -> Markup:
    count, every = of
    tone: Tone = "blue" if right else "orange"
    letters = min(12.0, 1.7 * (size - 2) / len(f"{count}"))
    return Markup(
        '<path d="M{:.1f} {:.1f}h{:.1f}v{:.1f}h-{:.1f}z" fill="{}" fill-opacity="{:.2f}"/>'
        '<text x="{:.1f}" y="{:.1f}" text-anchor="middle" font-size="{:.1f}" '
        'font-family="system-ui, sans-serif" fill="#868d96" class="ink">{}</text>'
    ).format(
        x + 1,
        y + 1,
        size - 2,
        size - 2,
        size - 2,
        drawing.COLOURS[tone],
        0.06 + (_DARKEST - 0.06) * count / every,
        x + size / 2,
        y + size / 2 + 4,
        letters,
        count,
    )


def _square() -> drawing.Frame:
    names = [f"{100 * each:.0f} %" for each in _SHARES]
    return drawing.Frame(_SHARES, _SHARES, names, _SQUARE)


def _diagonal(frame: drawing.Frame) -> Markup:
    low, high = frame.x_ticks[0], frame.x_ticks[-1]
    return drawing.rule(frame.x(low), frame.y(low), frame.x(high), frame.y(high), "ideal")


def _disc(x: float, y: float, radius: float, tone: Tone) -> Markup:
    return Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="{}" fill-opacity="0.55"/>'
    ).format(x, y, radius, drawing.COLOURS[tone])
