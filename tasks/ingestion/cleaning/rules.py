"""Gopher's and FineWeb's rules as one step: all that follow each other share one pass."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.corpus.texts import bytes_of, offsets_of
from tasks.ingestion.blocks import Block
from tasks.ingestion.cleaning import reference
from tasks.ingestion.cleaning.engine import compiled
from tasks.ingestion.cleaning.thresholds import KEPT, REASONS, STOP_WORD_LANGUAGES
from tasks.ingestion.tally import Tally


@dataclass(frozen=True)
class Rules:
    """Drops the documents that break a rule, for the first one broken.

    Attributes:
        quality, repetition, fineweb: which rules are applied, in this order.
        marks: each mark is a word, too, as in the corpora made with datatrove; otherwise it belongs
            to the word that it touches, as where white space parts the words.
    """

    quality: bool = False
    repetition: bool = False
    fineweb: bool = False
    marks: bool = False
    name = "quality rules"

    def __call__(self, block: Block, tally: Tally) -> Block:
        reasons = self.judge(block)
        # The rows of what is left shrink with the block at every drop.
        for reason in np.unique(reasons[reasons != KEPT]).tolist():
            out = reasons == reason
            block = tally.drop(block, out, REASONS[reason])
            reasons = reasons[~out]
        return block

    def judge(self, block: Block) -> np.ndarray:
        """The index in REASONS of the first rule that each document breaks; uint8 (documents,)."""
        known = pa.array(STOP_WORD_LANGUAGES, pa.string())
        asked = pc.is_in(block.languages, value_set=known).to_numpy(zero_copy_only=False)
        rules = (self.quality, self.repetition, self.fineweb)
        if compiled():
            from tasks.ingestion.cleaning.kernels import judge_all

            texts = block.texts
            return judge_all(bytes_of(texts), offsets_of(texts), asked, rules, self.marks)
        every = (reference.gopher_quality, reference.gopher_repetition, reference.fineweb_quality)
        chosen = [rule for rule, wanted in zip(every, rules, strict=True) if wanted]
        documents = (
            reference.Document(text.as_py(), self.marks, bool(ask))
            for text, ask in zip(block.texts, asked, strict=True)
        )
        return np.fromiter((reference.judge(each, chosen) for each in documents), np.uint8)
