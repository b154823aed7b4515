"""A report as Markdown, for pages of Prefect and MLflow."""

import base64
import re
from collections.abc import Iterable, Iterator

from corpusmill.storage.markup import as_text
from corpusmill.tasks.reports.outline import Part, Passages, Plot, Report, Steps, Table

_NARROW = 24  # characters of a column, beside which there is room for figures


def render_markdown(report: Report) -> str:
    """The same as the page of HTML; pictures are within the text, of a transparent ground."""
    blocks = [f"# {as_text(report.headline)}", *map(as_text, report.deck)]
    for part in report.parts:
        blocks += [f"## {as_text(part.title)}", *_part(part)]
        if part.note:
            blocks.append(as_text(part.note))
    blocks.append(" · ".join(f"[{as_text(words)}]({address})" for words, address in report.links))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _part(part: Part) -> Iterator[str]:
    match part:
        case Table():
            yield _table(part)
        case Plot(instead=Table() as table):
            yield _table(table)
        case Plot():
            picture = base64.b64encode(part.svg.encode()).decode()
            yield f"![{as_text(part.alt)}](data:image/svg+xml;base64,{picture})"
        case Passages():
            yield "\n".join(_passages(part))
        case Steps():
            for why, command in part.rows:
                yield as_text(why)
                if command:
                    yield _fenced(command)


def _table(table: Table) -> str:
    order = _columns(table)
    words = len(table.head) - table.words
    sides = ["---:" if 0 < column < words else "---" for column in order]
    lines = [_row(as_text(table.head[column]) for column in order), _row(sides)]
    for number, row in enumerate(table.rows):
        strong = {c for c in order if number == table.strong or (number, c) in table.marked}
        cells = ((as_text(row[column]), column in strong) for column in order)
        lines.append(_row(f"**{cell}**" if cell and bold else cell for cell, bold in cells))
    return "\n".join(lines)


def _columns(table: Table) -> list[int]:
    """Numbers of the columns in order; long words stand behind the figures.

    Prefect breaks no line of a table: on a telephone what stands behind them would be cut off.
    """
    columns = list(range(len(table.head)))
    if max((len(row[0]) for row in table.rows), default=0) <= _NARROW:
        return columns
    figures = columns[1 : len(columns) - table.words]
    return [*figures, 0, *columns[len(columns) - table.words :]]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _passages(passages: Passages) -> Iterator[str]:
    for row in passages.rows:
        first, *_ = row.written
        said = f" {as_text(first)}" if not passages.head else ""
        yield f"- **{as_text(row.prompt)}**{said}"
        for name, written in zip(passages.head, row.written, strict=False):
            yield f"  - {as_text(name)}: {as_text(written)}"
        if row.reference is not None:
            yield f"  - *reference:* {as_text(row.reference)}"


def _fenced(command: str) -> str:
    """A block of code in which nothing has a meaning."""
    assert command.isprintable(), "a command is one line"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command}\n{fence}"
