"""Gopher's and FineWeb's rules as one step, so that consecutive ones share a pass over the text."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.corpus.texts import bytes_of, offsets_of
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning import reference
from corpusmill.tasks.ingestion.cleaning.engine import compiled
from corpusmill.tasks.ingestion.cleaning.thresholds import KEPT, REASONS, STOP_WORD_LANGUAGES
from corpusmill.tasks.ingestion.stats import Stats


@dataclass(frozen=True)
class QualityFilter:
    """Drops the documents that break a rule; the reason is the first rule broken.

    Attributes:
        quality, repetition, fineweb: which rules are applied, in this order.
        marks: each punctuation mark is a word, as in corpora made with datatrove; otherwise it
            belongs to the word that it touches.
    """

    quality: bool = False
    repetition: bool = False
    fineweb: bool = False
    marks: bool = False
    name = "quality rules"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        reasons = self.judge(batch)
        # The rows of what is left shrink with the batch at every drop.
        for reason in np.unique(reasons[reasons != KEPT]).tolist():
            out = reasons == reason
            batch = stats.drop(batch, out, REASONS[reason])
            reasons = reasons[~out]
        return batch

    def judge(self, batch: DocumentBatch) -> np.ndarray:
        """The index in REASONS of the first rule that each document breaks; uint8 (documents,)."""
        known = pa.array(STOP_WORD_LANGUAGES, pa.string())
        asked = pc.is_in(batch.languages, value_set=known).to_numpy(zero_copy_only=False)
        rules = (self.quality, self.repetition, self.fineweb)
        if compiled():
            from corpusmill.tasks.ingestion.cleaning.kernels import judge_all

            texts = batch.texts
            return judge_all(bytes_of(texts), offsets_of(texts), asked, rules, self.marks)
        every = (reference.gopher_quality, reference.gopher_repetition, reference.fineweb_quality)
        chosen = [rule for rule, wanted in zip(every, rules, strict=True) if wanted]
        documents = (
            reference.Document(text.as_py(), self.marks, bool(ask))
            for text, ask in zip(batch.texts, asked, strict=True)
        )
        return np.fromiter((reference.judge(each, chosen) for each in documents), np.uint8)
