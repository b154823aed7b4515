"""Sanitizes texts on their way into a batch: they become UTF-8 with LF newlines and no NUL.

If all texts of an array are sound, none of them becomes a Python object.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.corpus.texts import bytes_of, offsets_of
from corpusmill.tasks.ingestion.batches import (
    DocumentBatch,
    Flaw,
    Repaired,
    excerpt_of,
    make_batch,
    place_of,
)
from corpusmill.tasks.ingestion.encodings import UTF_8, guess, line_feeds
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.fields import fields_of
from corpusmill.tasks.ingestion.readers.flaws import half_a_pair, no_text, nul, too_long
from corpusmill.tasks.ingestion.streams import DamageError

Item = DocumentBatch | Flaw | Repaired
# (the number of its document, the flaw)
NumberedFlaw = tuple[int, Flaw]

BATCH_BYTES = 8 << 20
BATCH_ROWS = 1 << 14
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXCERPT = 200
_NUL, _CARRIAGE_RETURN = 0, 13


class Sanitizer:
    """Turns the texts of a fragment into batches; repairs what the policy allows, and counts."""

    def __init__(self, reading: Reading, encoding: str = UTF_8) -> None:
        """`encoding` is what the text came in, before it was made UTF-8."""
        self.reading = reading
        self.limit = reading.config.max_document_bytes
        self._encoding = encoding
        self._guesses = reading.file.encoding == "auto" and encoding == UTF_8
        self.repairs = reading.config.on_bad_text == "repair"
        self._counts: Counter[str] = Counter()

    def admit(
        self, texts: pa.Array, unit: str, numbers: np.ndarray, flaws: Sequence[NumberedFlaw] = ()
    ) -> Iterator[Item]:
        """The documents that are sound or mended in batches, then the flaws of the others.

        Args:
            texts: (documents,), strings or binary of any kind; null where there is no string.
            unit, numbers: where they lie, as in DocumentBatch.
            flaws: of other documents of the file, by their number.

        Raises:
            pyarrow.ArrowInvalid: an array whose buffers contradict each other.
        """
        strings = _as_strings(texts)
        if (np.diff(offsets_of(strings)) < 0).any():
            raise pa.ArrowInvalid("texts that end before they begin")
        doubtful = np.zeros(len(strings), bool)
        if strings.null_count:
            doubtful |= np.asarray(pc.is_null(strings))
        if not is_utf8(strings):
            doubtful |= [not is_utf8(strings.slice(row, 1)) for row in range(len(strings))]
        yield from self._admit(strings, unit, numbers, doubtful, flaws)

    def admit_utf8(
        self,
        strings: pa.LargeStringArray,
        unit: str,
        numbers: np.ndarray,
        flaws: Sequence[NumberedFlaw] = (),
    ) -> Iterator[Item]:
        """`admit` for strings that are known to be UTF-8, and not null."""
        yield from self._admit(strings, unit, numbers, np.zeros(len(strings), bool), flaws)

    def _admit(
        self,
        strings: pa.LargeStringArray,
        unit: str,
        numbers: np.ndarray,
        doubtful: np.ndarray,
        flaws: Sequence[NumberedFlaw],
    ) -> Iterator[Item]:
        offsets = offsets_of(strings)
        doubtful |= np.diff(offsets) > self.limit
        if _has(strings, _NUL):
            nuls = np.flatnonzero(_used_bytes(strings) == _NUL) + offsets[0]
            doubtful[np.searchsorted(offsets, nuls, "right") - 1] = True
        if doubtful.any():
            strings, numbers, more = self._mend_rows(strings, unit, numbers, doubtful)
            flaws = sorted([*flaws, *more], key=itemgetter(0))
        if _has(strings, _CARRIAGE_RETURN):
            strings = pc.replace_substring(strings, "\r\n", "\n")
            strings = pc.replace_substring(strings, "\r", "\n")
        yield from self._batches(strings, unit, numbers)
        yield from (flaw for _, flaw in flaws)
        yield from self.repaired()

    def admit_text(self, data: bytes, unit: str, number: int) -> Iterator[Item]:
        """`admit` for one document."""
        yield from self.admit(pa.array([data], pa.large_binary()), unit, np.array([number]))

    def repaired(self) -> Iterator[Repaired]:
        """What was mended since the last call."""
        for name, count in self._counts.items():
            yield Repaired(name, count)
        self._counts.clear()

    def count(self, name: str, number: int) -> None:
        """Counts repairs of one kind."""
        self._counts[name] += number

    def decoded(self, data: bytes) -> tuple[str, str] | None:
        """Text that is not UTF-8, decoded, and its detected encoding; None if that is unclear."""
        name = guess(data) if self._guesses else None
        try:
            return (data.decode(name), name) if name else None
        except UnicodeDecodeError:
            return None

    def mend(self, data: bytes, place: str) -> bytes | Flaw:
        """The bytes of one text in UTF-8, or why they are none."""
        try:
            return self.mend_text(data.decode(), place)
        except UnicodeDecodeError as error:
            if other := self.decoded(data):
                self.count(f"decoded.{other[1]}", 1)
                return self.mend_text(other[0], place)
            if not self.repairs:
                return self.bad_bytes(data, error, place)
            return self.mend_text(data.decode("utf-8", "surrogateescape"), place)

    def mend_text(self, text: str, place: str) -> bytes | Flaw:
        """The UTF-8 bytes of one text, or why it has none."""
        if found := _SURROGATE.search(text):
            if not self.repairs:
                return half_a_pair(text, found.start(), place)
            text, count = _SURROGATE.subn("\ufffd", text)
            self.count("replaced_bytes", count)
        if "\0" in text:
            if not self.repairs:
                return nul(text, place)
            self.count("nul_removed", text.count("\0"))
            text = text.replace("\0", "")
        data = line_feeds(text.encode())
        if len(data) > self.limit:
            return too_long(place, len(data), self.limit, excerpt_of(text))
        return data

    def bad_bytes(self, data: bytes, error: UnicodeDecodeError, place: str) -> Flaw:
        """The flaw of data that `error` says are not in the expected encoding."""
        remedy = "mend the bytes"
        if not self._guesses and (name := guess(data)) and self._encoding == UTF_8:
            remedy = f'set corpus.encoding to {name}, which may fit, or to "auto"'
        elif self._guesses:
            remedy = "set corpus.encoding to that of the file, or mend the bytes"
        place = place if error.start == 0 else f"{place}, its byte {error.start}"
        found = data[error.start : error.start + 1].hex()
        what = f"found the byte 0x{found} ({error.reason}), expected {UTF_8}"
        if self._encoding != UTF_8:
            what = f"found bytes that are not {self._encoding}, as the rest of the file is"
        excerpt = data[:_EXCERPT].decode("utf-8", "backslashreplace")
        remedy += ', or set corpus.on_bad_text="repair"'
        return Flaw(place, "bad_encoding", what, remedy, excerpt, len(data))

    def _mend_rows(
        self, strings: pa.LargeStringArray, unit: str, numbers: np.ndarray, rows: np.ndarray
    ) -> tuple[pa.LargeStringArray, np.ndarray, list[NumberedFlaw]]:
        values: list[bytes | None] = strings.view(pa.large_binary()).to_pylist()
        flaws: list[NumberedFlaw] = []
        keep = np.ones(len(values), bool)
        for row in np.flatnonzero(rows).tolist():
            number, value = int(numbers[row]), values[row]
            place = place_of(unit, number)
            mended = (
                no_text(place, ", ".join(fields_of(self.reading.file)), None)
                if value is None
                else self.mend(value, place)
            )
            if isinstance(mended, Flaw):
                flaws.append((number, mended))
                keep[row] = False
            else:
                values[row] = mended
        kept = [value for value, sound in zip(values, keep.tolist(), strict=True) if sound]
        return pa.array(kept, pa.large_binary()).view(pa.large_string()), numbers[keep], flaws

    def _batches(
        self, strings: pa.LargeStringArray, unit: str, numbers: np.ndarray
    ) -> Iterator[DocumentBatch]:
        file = self.reading.file
        offsets = offsets_of(strings)
        start = 0
        while start < len(strings):
            stop = int(np.searchsorted(offsets, offsets[start] + BATCH_BYTES, "right")) - 1
            stop = min(max(stop, start + 1), start + BATCH_ROWS, len(strings))
            part = strings.slice(start, stop - start)
            yield make_batch(file.source, file.name, part, unit, numbers[start:stop])
            start = stop


class BatchBuilder:
    """Texts that a reader found one by one, and flaws, gathered for a batch.

    Args:
        bytes_full, rows_full: the size from which on it is full.
    """

    def __init__(
        self,
        sanitizer: Sanitizer,
        unit: str,
        bytes_full: int = BATCH_BYTES,
        rows_full: int = BATCH_ROWS,
    ) -> None:
        self._sanitizer = sanitizer
        self._unit = unit
        self._bytes_full, self._rows_full = bytes_full, rows_full
        self._texts: list[bytes] = []
        self._numbers: list[int] = []
        self._flaws: list[NumberedFlaw] = []
        self._size = 0

    def add(self, text: bytes | Flaw, number: int) -> bool:
        """Adds a text, or its flaw, and its number; returns whether the batch is full."""
        if isinstance(text, Flaw):
            self._flaws.append((number, text))
        else:
            self._texts.append(text)
            self._numbers.append(number)
            self._size += len(text)
        rows = len(self._texts) + len(self._flaws)
        return self._size >= self._bytes_full or rows >= self._rows_full

    def drain(self) -> Iterator[Item]:
        """What was gathered: batches, then flaws."""
        texts = pa.array(self._texts, pa.large_binary())
        numbers, flaws = np.array(self._numbers, np.int64), self._flaws
        self._texts, self._numbers, self._flaws, self._size = [], [], [], 0
        yield from self._sanitizer.admit(texts, self._unit, numbers, flaws)

    def fill(self, found: Iterable[tuple[int, bytes | Flaw]]) -> Iterator[Item]:
        """Takes all of these, and drains whenever it is full, and at the end.

        If the stream of `found` is damaged, what it yielded before is yielded first.
        """
        try:
            for number, text in found:
                if self.add(text, number):
                    yield from self.drain()
        except DamageError:
            yield from self.drain()
            raise
        yield from self.drain()


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate, which also stands for an undecodable byte."""
    return not _SURROGATE.search(text)


def is_utf8(strings: pa.LargeStringArray) -> bool:
    """Whether all bytes of the texts are valid UTF-8."""
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _as_strings(texts: pa.Array) -> pa.LargeStringArray:
    """The array as large strings, whose bytes may be no UTF-8."""
    kind = texts.type
    if pa.types.is_dictionary(kind):
        texts = texts.dictionary_decode()
        kind = texts.type
    if pa.types.is_large_string(kind):
        return texts
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return texts.cast(pa.large_string())
    return texts.cast(pa.large_binary()).view(pa.large_string())


def _used_bytes(strings: pa.LargeStringArray) -> np.ndarray:
    offsets = offsets_of(strings)
    return bytes_of(strings)[offsets[0] : offsets[-1]]


def _has(strings: pa.LargeStringArray, byte: int) -> bool:
    return bool((_used_bytes(strings) == byte).any())
