"""Figures of labelled work as tables that people read."""

from collections.abc import Iterator, Sequence

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.schema import SIDES, Side
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.answers import Row
from corpusmill.tasks.stages.examples import warnings_of

_ROW = "| {} | {} | {} | {} | {} |"


def render_table(side: Side, rows: Sequence[Row], figure: str) -> str:
    """A table in markdown: each system with its figure, and by how much the first is better."""
    lines = [
        f"### On {side} ({figure})",
        "",
        _ROW.format("", figure, "95 %", "gain of the first", "95 %"),
        "|---|---:|---|---:|---|",
    ]
    for row in rows:
        gain = ("", "")
        if row.gain:
            gain = f"{row.gain.gain:+.4f}", f"{row.gain.low:+.4f} to {row.gain.high:+.4f}"
        said = f"{row.figure.low:.4f} to {row.figure.high:.4f}"
        lines.append(_ROW.format(row.name, f"{row.figure.value:.4f}", said, *gain))
    others = ", ".join(f"{name} {value:.4f}" for name, value in rows[0].others.items())
    return "\n".join([*lines, "", f"All figures of the first: {others}."])


def told_of(examples: Ref) -> Iterator[str]:
    """What was kept of the examples and what a person should know of them."""
    counts = read_manifest(examples.path)["counts"]
    kept = (f"{counts[side]['kept']:,} of {counts[side]['in']:,} for {side}" for side in SIDES)
    yield f"Examples kept: {', '.join(kept)}."
    for sentence in warnings_of(counts):
        yield f"- {sentence}"
