"""What is found for single tokens of held-out texts, summed over blocks of them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from corpusmill.storage.blocks import BLOCK_BYTES, Blocks
from corpusmill.storage.corpus.documents import Document, document_id
from corpusmill.storage.corpus.pairs import SEPARATOR


class BlockSums:
    """Sums over the blocks of texts, whose tokens are numbered through from 0.

    Attributes:
        predictions: tokens that were predicted; int64 (blocks,).
        values: sums of what was found for them; float64 (blocks, values).
    """

    def __init__(self, texts: Sequence[Document], tokens: Sequence[int], values: int) -> None:
        """Divides texts into blocks.

        Args:
            texts: the sides of a pair, next to each other, are one document of its id.
            tokens: of each text.
            values: numbers for each token.
        """
        sizes = np.array([len(text.text.encode()) for text in texts], np.int64)
        self._counts = np.maximum(1, np.rint(sizes / BLOCK_BYTES)).astype(np.int64)
        self._text = np.repeat(np.arange(len(texts)), self._counts)
        first = np.cumsum(self._counts) - self._counts
        within = np.arange(len(self._text)) - first[self._text]
        # The beginning of each block in the tokens of its text, and from where to where it has its
        # bytes: the latter are no matter of the tokenizer.
        of_text, blocks = np.array(tokens, np.int64)[self._text], self._counts[self._text]
        begins = np.cumsum([0, *tokens[:-1]])
        self._begins = begins[self._text] + within * of_text // blocks
        size = sizes[self._text]
        self._bytes = size * (within + 1) // blocks - size * within // blocks
        self._numbers = (within + self._before(texts)[self._text]).astype(np.int32)
        self._texts = texts
        self.predictions = np.zeros(len(self._text), np.int64)
        self.values = np.zeros((len(self._text), values))

    def _before(self, texts: Sequence[Document]) -> np.ndarray:
        """Blocks that a document has before each of its texts; int64 (texts,)."""
        before = np.zeros(len(texts), np.int64)
        for row, (first, second) in enumerate(pairwise(texts), 1):
            # Equal texts have one id too, but are as many documents.
            if first.id == second.id and before[row - 1] == 0 and _are_sides(first, second):
                before[row] = self._counts[row - 1]
        return before

    def add(self, tokens: np.ndarray, *values: np.ndarray) -> None:
        """Adds what was found for predictions of these tokens.

        Args:
            tokens: numbers; int64 (N,).
            values: each (N,).
        """
        blocks = np.searchsorted(self._begins, tokens, side="right") - 1
        np.add.at(self.predictions, blocks, 1)
        for column, value in enumerate(values):
            np.add.at(self.values[:, column], blocks, value)

    def spread(self, of_texts: np.ndarray) -> np.ndarray:
        """Numbers of texts, divided evenly among the blocks of each; float64 (blocks,)."""
        spread: np.ndarray = (of_texts / self._counts)[self._text]
        return spread

    def blocks(self, statistics: np.ndarray) -> Blocks:
        """The blocks with these statistics; float64 (blocks, statistics)."""
        chosen = [self._texts[number] for number in self._text.tolist()]
        return Blocks(
            documents=[text.id for text in chosen],
            sources=[text.source for text in chosen],
            numbers=self._numbers,
            bytes=self._bytes,
            predictions=self.predictions,
            statistics=statistics,
        )


def _are_sides(first: Document, second: Document) -> bool:
    whole = SEPARATOR.join((first.text, second.text))
    return document_id(whole.encode()) == first.id
