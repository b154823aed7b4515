"""Text of lines: cut into whole lines, paragraphs or one document, in bounded memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, excerpt_of, size_of
from corpusmill.tasks.ingestion.readers.flaws import too_long
from corpusmill.tasks.ingestion.readers.sanitizer import BatchBuilder, Item, Sanitizer
from corpusmill.tasks.ingestion.streams import DamageError

# A line may hold more than its document. More than a chunk, so that what counts as too long does
# not depend on where chunks begin.
LINE_EXTRA = 16 << 20
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


# Words of eight bytes may be read across the end of the lines.
PADDING = b"\n" * 8


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of a text.

    Attributes:
        padded: each line ended by a newline, then PADDING.
        first: number of the first one, counted from 1.
    """

    padded: bytes
    first: int

    @property
    def size(self) -> int:
        """Bytes without the padding."""
        return len(self.padded) - len(PADDING)

    @property
    def text(self) -> bytes:
        """The lines without the last one's newline."""
        return self.padded[: self.size - 1]

    def count(self) -> int:
        """How many lines there are."""
        return int(np.count_nonzero(np.frombuffer(self.padded, np.uint8, self.size) == 10))


def unit_of_lines(begin: int) -> str:
    """The unit of line numbers in a fragment that begins at byte `begin`."""
    return f"after byte {begin}, line" if begin else "line"


def whole_lines(chunks: Iterator[bytes], unit: str, limit: int) -> Iterator[Lines | Flaw]:
    """Cuts chunks at line ends; a line longer than `limit` bytes is skipped in constant memory."""
    held: list[bytes] = []
    size, line = 0, 1
    for chunk in chunks:
        first = chunk.find(b"\n") + 1
        if not first:
            size += len(chunk)
            # Of a line that is too long only the beginning is kept.
            held = [*held, chunk] if size <= limit else [b"".join(held)[:1000] or chunk[:1000]]
            continue
        end = chunk.rfind(b"\n") + 1
        if size + first > limit:
            yield _long_line(unit, line, size + first, limit, held)
            line += 1
            held = []
        else:
            first = 0
        if first < end:
            lines = Lines(b"".join([*held, memoryview(chunk)[first:end], PADDING]), line)
            yield lines
            line += lines.count()
        held, size = [chunk[end:]], len(chunk) - end
    if size > limit:
        yield _long_line(unit, line, size, limit, held)
    elif size:
        yield Lines(b"".join([*held, b"\n", PADDING]), line)


def read_lines(chunks: Iterator[bytes], sanitizer: Sanitizer, begin: int = 0) -> Iterator[Item]:
    """One document per line, blank ones too."""
    unit = unit_of_lines(begin)
    for item in whole_lines(chunks, unit, sanitizer.limit + LINE_EXTRA):
        if isinstance(item, Flaw):
            yield item
            continue
        data = pa.array([item.text], pa.large_binary())
        texts = pc.split_pattern(data, "\n").flatten()
        numbers = np.arange(item.first, item.first + len(texts))
        yield from sanitizer.admit(texts, unit, numbers)


def read_paragraphs(chunks: Iterator[bytes], sanitizer: Sanitizer) -> Iterator[Item]:
    """One document per paragraph, numbered by its first line; blank lines separate them."""
    limit = sanitizer.limit + LINE_EXTRA
    batch = BatchBuilder(sanitizer, "line")
    paragraphs = _Paragraphs(batch, limit)
    for item in whole_lines(chunks, "line", limit):
        if isinstance(item, Flaw):
            paragraphs.skip(item, lines=1)
        else:
            paragraphs.add(item.text.decode("utf-8", "surrogateescape") + "\n")
        yield from batch.drain()
    paragraphs.add("\n")
    yield from batch.drain()


def read_whole(chunks: Iterator[bytes], sanitizer: Sanitizer) -> Iterator[Item]:
    """The whole text as one document.

    Raises:
        DamageError: it is longer than a document may be.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > sanitizer.limit:
            excerpt = held[0][:1000].decode("utf-8", "backslashreplace")
            raise DamageError(too_long(WHOLE_FILE, size, sanitizer.limit, excerpt_of(excerpt)))
    yield from sanitizer.admit_text(b"".join(held), WHOLE_FILE, 0)


class _Paragraphs:
    """Splits text at blank lines; text after the last one is held until more comes."""

    def __init__(self, batch: BatchBuilder, limit: int) -> None:
        self._batch = batch
        self._limit = limit
        self._held = "\n"  # begins with the newline before line `_line`
        self._line = 1
        self._skipped: tuple[Flaw, int] | None = None  # of the paragraph that is given up

    def add(self, lines: str) -> None:
        text = self._held + lines
        start = 0
        for blank in _BLANK_LINES.finditer(text):
            self._finish(text[start + 1 : blank.start()])
            self._line += text.count("\n", start + 1, blank.end())
            start = blank.end() - 1
        self._held = text[start:]
        if len(self._held) > self._limit:
            excerpt = excerpt_of(self._held[1:1000])
            place, size = f"line {self._line}", len(self._held)
            self.skip(too_long(place, size, self._limit, excerpt), lines=0)

    def skip(self, flaw: Flaw, lines: int) -> None:
        """Gives up the paragraph that is being read, and `lines` more lines that are not held."""
        lost = size_of(self._held[1:]) + ((flaw.bytes or 0) if lines else 0)
        self._skipped = self._with(lost, self._skipped or (replace(flaw, bytes=0), self._line))
        self._line += self._held.count("\n") - 1 + lines
        self._held = "\n"

    def _finish(self, paragraph: str) -> None:
        if self._skipped:
            self._batch.add(*self._with(size_of(paragraph), self._skipped))
        elif paragraph:
            self._batch.add(paragraph.encode("utf-8", "surrogateescape"), self._line)
        self._skipped = None

    def _with(self, lost: int, skipped: tuple[Flaw, int]) -> tuple[Flaw, int]:
        flaw, line = skipped
        return replace(flaw, bytes=(flaw.bytes or 0) + lost), line


def _long_line(unit: str, line: int, size: int, limit: int, held: list[bytes]) -> Flaw:
    excerpt = b"".join(held)[:1000].decode("utf-8", "backslashreplace")
    return too_long(f"{unit} {line}", size, limit, excerpt_of(excerpt))
