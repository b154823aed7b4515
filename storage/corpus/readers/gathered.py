"""Texts that a reader found one by one, gathered into blocks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from storage.corpus.blocks import Flaw
from storage.corpus.pieces import Reading
from storage.corpus.readers.gate import Gate, Item

_BYTES = 1 << 20
_ROWS = 1 << 10


@dataclass(frozen=True, slots=True)
class Found:
    """The text of one document, as it was found, and where in its file.

    Attributes:
        number: its record, page, …
        text: bytes where the gate is to find their encoding.
    """

    number: int
    text: str | bytes


def gather(items: Iterable[Found | Flaw], reading: Reading, unit: str) -> Iterator[Item]:
    """Blocks of about 1 MB of the texts; flaws stay in their place.

    Where `items` fail, what they gave before is still yielded.
    """
    gate = Gate(reading)
    batch = _Batch()
    try:
        for item in items:
            if isinstance(item, Found):
                batch.add(item)
            if isinstance(item, Flaw) or batch.is_full:
                yield from batch.emptied(gate, unit)
            if isinstance(item, Flaw):
                yield item
    except Exception:
        yield from batch.emptied(gate, unit)
        raise
    yield from batch.emptied(gate, unit)


class _Batch:
    """Texts that wait for others to make a block with."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._numbers: list[int] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self._bytes >= _BYTES or len(self._texts) >= _ROWS

    def add(self, found: Found) -> None:
        text = found.text
        # A half of a surrogate pair becomes bytes that the gate takes for what they are.
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self._texts.append(data)
        self._numbers.append(found.number)
        self._bytes += len(data)

    def emptied(self, gate: Gate, unit: str) -> Iterator[Item]:
        texts, numbers = self._texts, self._numbers
        self._texts, self._numbers, self._bytes = [], [], 0
        if texts:
            yield from gate.admit(pa.array(texts, pa.large_binary()), unit, np.array(numbers))
