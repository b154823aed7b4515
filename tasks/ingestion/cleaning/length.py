"""Documents without text, or with too little of it."""

from dataclasses import dataclass

import pyarrow.compute as pc

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.stats import Stats


@dataclass(frozen=True)
class LengthFilter:
    """Drops documents of white space alone, and those of fewer than `min_characters`."""

    min_characters: int
    name = "length"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        blank = pc.equal(pc.binary_length(pc.utf8_ltrim_whitespace(batch.texts)), 0)
        batch = stats.drop(batch, blank.to_numpy(zero_copy_only=False), "empty")
        short = pc.less(pc.utf8_length(batch.texts), self.min_characters)
        return stats.drop(batch, short.to_numpy(zero_copy_only=False), "too_short")
