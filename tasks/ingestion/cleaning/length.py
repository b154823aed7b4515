"""Documents without text, or with too little of it."""

from dataclasses import dataclass

import pyarrow.compute as pc

from tasks.ingestion.blocks import Block
from tasks.ingestion.tally import Tally


@dataclass(frozen=True)
class Length:
    """Drops documents of white space alone, and those of fewer than `min_characters`."""

    min_characters: int
    name = "length"

    def __call__(self, block: Block, tally: Tally) -> Block:
        blank = pc.equal(pc.binary_length(pc.utf8_ltrim_whitespace(block.texts)), 0)
        block = tally.drop(block, blank.to_numpy(zero_copy_only=False), "empty")
        short = pc.less(pc.utf8_length(block.texts), self.min_characters)
        return tally.drop(block, short.to_numpy(zero_copy_only=False), "too_short")
