"""Which fields of a record are its text: one, several together, or the two sides of a pair."""

from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.storage.corpus.pairs import join_pair
from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.readers.flaws import empty_side, no_text

_BETWEEN = "\n\n"


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
