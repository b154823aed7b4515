"""JSON files: arrays of objects, or objects one after the other, each with a text."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from corpusmill.tasks.ingestion.batches import Flaw, excerpt_of, size_of
from corpusmill.tasks.ingestion.readers.fields import text_of
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.readers.lines import LINE_EXTRA
from corpusmill.tasks.ingestion.readers.sanitizer import BatchBuilder, Item, Sanitizer
from corpusmill.tasks.ingestion.streams import DamageError

# Python refuses integers of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_int=float)
_LONGEST_TOKEN = len(r"\ud83d\ude00")
_SPACE = re.compile(r"[ \t\n\r]*")
# A string, as far as it goes, or a bracket.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_BEGINNINGS = '{["-0123456789tfn'
_DEPTH = {"{": 1, "[": 1, "}": -1, "]": -1}


def read_json(chunks: Iterator[bytes], sanitizer: Sanitizer) -> Iterator[Item]:
    """A document an object: of the arrays that there are, or of the objects one after the other.

    Memory holds one object at a time. One that is no JSON is passed over where its brackets tell
    where it ends.

    Raises:
        DamageError: where an object's end cannot be found, or the file ends too early.
    """
    values = _Values(chunks, sanitizer.limit + LINE_EXTRA)
    texts = (
        (number, _text(value, number, values, sanitizer)) for number, value in enumerate(values)
    )
    yield from BatchBuilder(sanitizer, "item").fill(texts)


def _text(value: Any, number: int, values: "_Values", sanitizer: Sanitizer) -> bytes | Flaw:
    if isinstance(value, Flaw):
        return value
    place = f"item {number}"
    if not isinstance(value, dict):
        found = f"found a JSON {type(value).__name__}, expected an object"
        excerpt = excerpt_of(repr(value))
        return Flaw(place, "bad_json", found, "mend the file", excerpt, values.size())
    text = text_of(value, sanitizer.reading.file, place, "", values.size())
    if isinstance(text, str):
        return sanitizer.mend_text(text, place)
    excerpt = excerpt_of(json.dumps(value, ensure_ascii=False))
    return replace(text, excerpt=text.excerpt or excerpt)


class _Values:
    """The objects of a JSON text, those within arrays too; a Flaw in the place of a broken one.

    ijson, which reads as little at a time, ends at the first broken one.
    """

    def __init__(self, chunks: Iterator[bytes], limit: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._chunks = (text for chunk in chunks if (text := decoder.decode(chunk)))
        self._limit = limit
        self._text = ""
        self._start = self._at = self._number = 0

    def __iter__(self) -> Iterator[Any]:
        while character := self._next():
            if character == "[":
                self._at += 1
                yield from self._array()
            else:
                yield self._value()

    def size(self) -> int:
        """Bytes of the value that was yielded last."""
        return size_of(self._text[self._start : self._at])

    def _array(self) -> Iterator[Any]:
        first = True
        while (character := self._next()) != "]":
            # A comma too few or, at the end, too many does no harm.
            if character == "," and not first:
                self._at += 1
                if self._next() == "]":
                    break
            elif character == "":
                raise DamageError(self._broken("no end of the array", ends=True))
            elif not first and character != "{":
                found = f"{character!r}, expected a comma or the end of the array"
                raise DamageError(self._broken(found))
            yield self._value()
            first = False
        self._at += 1

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
        """Doubles what is held, so that a long value is parsed only a few times."""
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
                goes_on = self._may_go_on(error)
                if not (goes_on and self._read()):
                    found = f"no JSON value ({error.msg}), expected an object"
                    return self._passed_over(found, goes_on and self._begins())
            except RecursionError:
                return self._passed_over("brackets nested too deep, expected an object")
            else:
                # A number at the end of what is held may have more digits.
                if end < len(self._text) or isinstance(value, dict) or not self._read():
                    self._start, self._at = self._at, end
                    self._number += 1
                    return value
            self._check_size()

    def _passed_over(self, found: str, ends: bool = False) -> Flaw:
        """The flaw of an object that is no JSON; reading goes on after its last bracket."""
        if self._text[self._at : self._at + 1] != "{":
            raise DamageError(self._broken(found, ends))
        while not ends:
            end = self._closing()
            if end:
                place, excerpt = f"item {self._number}", self._excerpt()
                self._start, self._at = self._at, end
                self._number += 1
                finding = f"found {found}"
                return Flaw(place, "bad_json", finding, "mend the file", excerpt, self.size())
            self._check_size()
            ends = not self._read()
        raise DamageError(self._broken(found, ends))

    def _closing(self) -> int:
        """The end of the bracketed value that begins here; 0 if it is not in what is held."""
        depth = 0
        for token in _TOKEN.finditer(self._text, self._at):
            depth += _DEPTH.get(token[0], 0)
            if depth == 0:
                return token.end()
        return 0

    def _check_size(self) -> None:
        if len(self._text) - self._at > self._limit:
            size = size_of(self._text[self._at :])
            place = f"from item {self._number}"
            raise DamageError(too_long(place, size, self._limit, self._excerpt()))

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the error may be only that the value continues after what is held."""
        return error.msg.startswith("Unterminated") or error.pos > len(self._text) - _LONGEST_TOKEN

    def _begins(self) -> bool:
        """Whether a JSON value may begin here."""
        return self._text[self._at : self._at + 1] in _BEGINNINGS

    def _broken(self, found: str, ends: bool = False) -> Flaw:
        """The flaw of what is left; of unknown size if the text `ends` within a value."""
        size = None if ends else size_of(self._text[self._at :])
        place = f"from item {self._number}"
        remedy = "fetch the file again" if ends else "mend the file"
        return Flaw(place, "bad_json", f"found {found}", remedy, self._excerpt(), size)

    def _excerpt(self) -> str:
        return excerpt_of(self._text[self._at : self._at + 1000])
