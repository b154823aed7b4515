"""JSON files: an array of objects, or objects one after the other, each with a text."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from storage.corpus.blocks import Flaw, excerpt_of
from storage.corpus.readers.fields import text_of
from storage.corpus.readers.flaws import too_long
from storage.corpus.readers.gate import Batch, Gate, Item
from storage.corpus.readers.lines import LINE_EXTRA

# Python refuses integers of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_int=float)
_LONGEST_TOKEN = len(r"\ud83d\ude00")
_SPACE = re.compile(r"[ \t\n\r]*")


def read_json(chunks: Iterator[bytes], gate: Gate) -> Iterator[Item]:
    """A document an object: of the array that the file is, or of the objects one after the other.

    Memory holds one object at a time. Where the JSON breaks, the rest is left.
    """
    values = enumerate(_Values(chunks, gate.limit + LINE_EXTRA))
    texts = ((number, _text(value, f"item {number}", gate)) for number, value in values)
    yield from Batch(gate, "item").fill(texts)


def _text(value: Any, place: str, gate: Gate) -> bytes | Flaw:
    if isinstance(value, Flaw):
        return value
    if not isinstance(value, dict):
        found = f"found a JSON {type(value).__name__}, expected an object"
        return Flaw(place, "bad_json", found, "mend the file", excerpt_of(repr(value)))
    excerpt = excerpt_of(json.dumps(value, ensure_ascii=False))
    text = text_of(value, gate.reading.file, place, excerpt)
    return gate.mend_text(text, place) if isinstance(text, str) else text


class _Values:
    """The values of a JSON text; a Flaw, as the last one, where it breaks."""

    def __init__(self, chunks: Iterator[bytes], limit: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._chunks = (text for chunk in chunks if (text := decoder.decode(chunk)))
        self._limit = limit
        self._text = ""
        self._at = self._number = 0

    def __iter__(self) -> Iterator[Any]:
        is_array = self._next() == "["
        self._at += is_array
        while (character := self._next()) and not (is_array and character == "]"):
            if is_array and self._number:
                if character != ",":
                    yield self._broken(f"{character!r}, expected a comma or the end of the array")
                    return
                self._at += 1
                self._next()
            value = self._value()
            yield value
            if isinstance(value, Flaw):
                return
            self._number += 1
        if is_array and not character:
            yield self._broken("no end of the array")
        elif is_array:
            self._at += 1
            if self._next():
                yield self._broken("text after the end of the array, expected none")

    def _next(self) -> str:
        """Steps to the next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def _read(self) -> bool:
        """Reads as much again as is held, so that a long value is not tried too often."""
        held = self._text[self._at :]
        parts, size = [held], 0
        while size <= len(held) and (chunk := next(self._chunks, "")):
            parts.append(chunk)
            size += len(chunk)
        if size:
            self._text, self._at = "".join(parts), 0
        return size > 0

    def _value(self) -> Any:
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error) or not self._read():
                    return self._broken(f"no JSON value ({error.msg}), expected an object")
            except RecursionError:
                return self._broken("brackets nested too deep")
            else:
                # A number at the end of what is held may go on.
                if end < len(self._text) or isinstance(value, dict) or not self._read():
                    self._at = end
                    return value
            if len(self._text) - self._at > self._limit:
                return too_long(f"from item {self._number}", len(self._text), self._limit)

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether it may only be that the value goes on after what is held."""
        return error.msg.startswith("Unterminated") or error.pos > len(self._text) - _LONGEST_TOKEN

    def _broken(self, found: str) -> Flaw:
        excerpt = excerpt_of(self._text[self._at : self._at + 1000])
        place = f"from item {self._number}"
        return Flaw(place, "bad_json", f"found {found}", "mend the file", excerpt)
