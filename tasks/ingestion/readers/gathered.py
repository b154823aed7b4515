"""Texts that a reader found one by one, gathered into batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from corpusmill.tasks.ingestion.batches import Flaw, Repaired
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.sanitizer import BatchBuilder, Item, Sanitizer

_BYTES = 1 << 20
_ROWS = 1 << 10


@dataclass(frozen=True, slots=True)
class Found:
    """The text of one document, as it was found, and where in its file.

    Attributes:
        number: its record, page, …
        text: bytes where the sanitizer is to find their encoding.
    """

    number: int
    text: str | bytes


def gather(items: Iterable[Found | Flaw | Repaired], reading: Reading, unit: str) -> Iterator[Item]:
    """Batches of about 1 MB of the texts; flaws stay in their place.

    If `items` raise, what they yielded before is yielded first.
    """
    batch = BatchBuilder(Sanitizer(reading), unit, _BYTES, _ROWS)
    try:
        for item in items:
            if not isinstance(item, Found):
                if isinstance(item, Flaw):
                    yield from batch.drain()
                yield item
                continue
            text = item.text
            # A lone surrogate becomes bytes that the sanitizer recognises.
            data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            if batch.add(data, item.number):
                yield from batch.drain()
    except Exception:
        yield from batch.drain()
        raise
    yield from batch.drain()
