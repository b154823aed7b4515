"""Which fields of a record are its text: one, several together, or the two sides of a pair.

Where a record itself is wanted, such as a text with its label, it travels as a document too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.storage.corpus.pairs import join_pair
from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.ingestion.fragments import Columns, SourceFile
from corpusmill.tasks.ingestion.readers.flaws import empty_side, no_text

_BETWEEN = "\n\n"
# RECORD SEPARATOR: begins a JSON text among others (RFC 7464), and no text of a file.
_RECORD = "\x1e"


def fields_of(file: SourceFile) -> tuple[str, ...]:
    """The names of the fields that hold the text."""
    if file.pair:
        return file.pair
    return (file.text_field,) if isinstance(file.text_field, str) else file.text_field


def text_of(
    record: Mapping[str, Any], file: SourceFile, place: str, excerpt: str, size: int
) -> str | Flaw:
    """The text of a record of `size` bytes.

    One of several fields may be null. `outer.inner` is a field of a nested object.
    """
    if file.columns:
        return record_text(record, file.columns)
    fields = fields_of(file)
    if len(fields) == 1:
        text = record.get(fields[0])
        if isinstance(text, str):
            return text
        return no_text(place, fields[0], record, excerpt, size)
    sides = list[str | None]()
    for field in fields:
        holder, name = record, field
        outer, dot, inner = field.partition(".")
        if field not in record and dot and isinstance(record.get(outer), dict):
            holder, name = record[outer], inner
        side = holder.get(name)
        is_null = side is None and name in holder
        if not isinstance(side, str) and (file.pair or not is_null):
            return no_text(place, name, holder, excerpt, size)
        sides.append(side)
    return text_of_sides(sides, file, place)


def text_of_sides(sides: Sequence[str | None], file: SourceFile, place: str) -> str | Flaw:
    """The texts of several fields, joined; blank ones are left out.

    A pair needs both: if one is blank, the result is a flaw.
    """
    if not file.pair:
        return _BETWEEN.join(side for side in sides if side and side.strip())
    source, target = (side or "" for side in sides)
    for field, side, other in zip(file.pair, (source, target), (target, source), strict=True):
        if not side.strip():
            return empty_side(place, field, other)
    return join_pair(source, target)


def record_text(record: Mapping[str, Any], columns: Columns) -> str:
    """The document of a record: a mark, and the JSON object of the fields that are wanted."""
    wanted = {name: _value(record, name) for name in columns.names} or dict(record)
    # NaN, of tables made with pandas, is read again as it is written.
    return _RECORD + json.dumps(wanted, ensure_ascii=False, default=_as_text)


def record_in(text: str) -> dict[str, Any] | None:
    """The record that a document is, or None where it is a text of its own."""
    if not text.startswith(_RECORD):
        return None
    try:
        record = json.loads(text[len(_RECORD) :])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _value(record: Mapping[str, Any], name: str) -> Any:
    outer, dot, inner = name.partition(".")
    if name not in record and dot and isinstance(record.get(outer), dict):
        return record[outer].get(inner)
    return record.get(name)


def _as_text(value: Any) -> str:
    """What a table holds and JSON has no type for: bytes of a text, dates, decimal numbers."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
