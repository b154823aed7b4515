"""Which fields of a record are its text: one, or the two sides of a pair."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.corpus.blocks import Flaw
from storage.corpus.pairs import join_pair
from storage.corpus.pieces import SourceFile
from storage.corpus.readers.flaws import empty_side, no_text


def fields_of(file: SourceFile) -> tuple[str, ...]:
    """The names of the field, or of both fields, that hold the text."""
    return file.pair or (file.text_field,)


def text_of(
    record: Mapping[str, Any], file: SourceFile, place: str, excerpt: str, size: int
) -> str | Flaw:
    """The text of a record of `size` bytes.

    The fields of a pair may be `outer.inner`, one object in another.
    """
    if not file.pair:
        text = record.get(file.text_field)
        if isinstance(text, str):
            return text
        return no_text(place, file.text_field, record, excerpt, size)
    sides = []
    for field in file.pair:
        holder, name = record, field
        outer, dot, inner = field.partition(".")
        if field not in record and dot and isinstance(record.get(outer), dict):
            holder, name = record[outer], inner
        side = holder.get(name)
        if not isinstance(side, str):
            return no_text(place, name, holder, excerpt, size)
        sides.append(side)
    return pair_text(sides, file, place)


def pair_text(sides: Sequence[str], file: SourceFile, place: str) -> str | Flaw:
    """The text of a pair, unless one side is empty."""
    assert file.pair
    source, target = sides
    for field, side, other in zip(file.pair, sides, (target, source), strict=True):
        if not side.strip():
            return empty_side(place, field, other)
    return join_pair(source, target)
