"""JSON Lines: one object per line, one field of which is the text.

A compiled kernel reads the lines that it can parse; the others, and all lines if the kernel is
missing, go through `json.loads`, which also finds out what is wrong with them.
"""

import codecs
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.tasks.ingestion.batches import Flaw, excerpt_of
from corpusmill.tasks.ingestion.compiled import import_compiled
from corpusmill.tasks.ingestion.readers.fields import fields_of, text_of
from corpusmill.tasks.ingestion.readers.lines import (
    LINE_EXTRA,
    PADDING,
    Lines,
    unit_of_lines,
    whole_lines,
)
from corpusmill.tasks.ingestion.readers.sanitizer import (
    BATCH_ROWS,
    BatchBuilder,
    Item,
    NumberedFlaw,
    Sanitizer,
    is_unicode,
    is_utf8,
)

# A byte becomes three at most: U+FFFD, or a letter of a one-byte encoding.
_GROWTH = 3


def read_jsonl(chunks: Iterator[bytes], sanitizer: Sanitizer, begin: int = 0) -> Iterator[Item]:
    """One document per line; blank lines are no records."""
    unit = unit_of_lines(begin)
    file = sanitizer.reading.file
    fast = load_kernel() and len(fields_of(file)) == 1 and not file.columns
    read = read_fast if fast else read_exactly
    for item in whole_lines(chunks, unit, sanitizer.limit + LINE_EXTRA):
        if isinstance(item, Flaw):
            yield item
        else:
            yield from read(item, sanitizer, unit)


def load_kernel() -> ModuleType | None:
    """The compiled reader; None where numba does not work here."""
    instead = "JSON Lines are read by Python's json module, which is slower"
    return import_compiled("readers", "json_kernel", instead)


def read_fast(lines: Lines, sanitizer: Sanitizer, unit: str) -> Iterator[Item]:
    """The same as `read_exactly`, faster."""
    kernel = load_kernel()
    assert kernel
    (field,) = fields_of(sanitizer.reading.file)
    key = np.frombuffer(field.encode(), np.uint8)
    data = np.frombuffer(lines.padded, np.uint8)
    start, stop, line = 0, lines.size, lines.first
    while start < stop:
        out = np.empty(_GROWTH * (stop - start) + len(PADDING), np.uint8)
        ends = np.zeros(BATCH_ROWS + 1, np.int64)
        numbers = np.empty(BATCH_ROWS, np.int64)
        flaws: list[NumberedFlaw] = []
        position, row, first = start, 0, line
        while position < stop and row < BATCH_ROWS:
            position, row, line = kernel.parse_lines(
                data, position, stop, key, out, ends, numbers, row, line
            )
            if position == stop or row == BATCH_ROWS:
                break
            end = lines.padded.index(b"\n", position)
            text = parse_exactly(lines.padded[position:end], sanitizer, f"{unit} {line}")
            if isinstance(text, Flaw):
                flaws.append((line, text))
            elif text is not None:
                ends[row + 1] = ends[row] + len(text)
                out[ends[row] : ends[row + 1]] = np.frombuffer(text, np.uint8)
                numbers[row] = line
                row += 1
            position, line = end + 1, line + 1
        texts = _strings(out, ends[: row + 1])
        if is_utf8(texts):
            yield from sanitizer.admit_utf8(texts, unit, numbers[:row], flaws)
        else:
            tuple(sanitizer.repaired())
            part = lines.padded[start:position] + PADDING
            yield from read_exactly(Lines(part, first), sanitizer, unit)
        start = position


def read_exactly(lines: Lines, sanitizer: Sanitizer, unit: str) -> Iterator[Item]:
    """Reads one line after the other."""
    batch = BatchBuilder(sanitizer, unit)
    for number, line in enumerate(lines.text.split(b"\n"), lines.first):
        text = parse_exactly(line, sanitizer, f"{unit} {number}")
        if text is not None:
            batch.add(text, number)
    yield from batch.drain()


def parse_exactly(line: bytes, sanitizer: Sanitizer, place: str) -> bytes | Flaw | None:
    """The text of one line in UTF-8, why it has none, or None for a blank line."""
    # The byte order mark of a file that was appended to another one.
    line = line.removeprefix(codecs.BOM_UTF8)
    if not line.strip():
        return None
    try:
        text = _text_of(line.decode(), sanitizer, place, len(line))
    except UnicodeDecodeError as error:
        text = _text_of_bad(line, error, sanitizer, place)
    return sanitizer.mend_text(text, place) if isinstance(text, str) else text


def _text_of_bad(
    line: bytes, error: UnicodeDecodeError, sanitizer: Sanitizer, place: str
) -> str | Flaw:
    """The text of a line that is not UTF-8; bad bytes outside the text do no harm."""
    text = _text_of(line.decode("utf-8", "surrogateescape"), sanitizer, place, len(line))
    if isinstance(text, str) and is_unicode(text):
        return text
    if other := sanitizer.decoded(line):
        decoded = _text_of(other[0], sanitizer, place, len(line))
        if isinstance(decoded, str):
            sanitizer.count(f"decoded.{other[1]}", 1)
            return decoded
    if isinstance(text, str) and not sanitizer.repairs:
        return sanitizer.bad_bytes(line, error, place)
    return text


def _text_of(line: str, sanitizer: Sanitizer, place: str, size: int) -> str | Flaw:
    try:
        # Python refuses integers of more than 4,300 digits.
        record: Any = json.loads(line, parse_int=float)
    except (ValueError, RecursionError) as error:
        message = str(error)
        if isinstance(error, json.JSONDecodeError):
            message = f"{error.msg} column {error.colno}"
        found = f"found no JSON value ({message}), expected one object a line"
        return Flaw(place, "bad_json", found, "mend the line", excerpt_of(line), size)
    if not isinstance(record, dict):
        kind = "array" if isinstance(record, list) else type(record).__name__
        found = f"found a JSON {kind}, expected an object"
        return Flaw(place, "bad_json", found, "mend the line", excerpt_of(line), size)
    return text_of(record, sanitizer.reading.file, place, excerpt_of(line), size)


def _strings(data: np.ndarray, ends: np.ndarray) -> pa.LargeStringArray:
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)
