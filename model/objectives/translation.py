"""Translation (Vaswani et al. 2017): one side of a pair is read, the other one is written."""

from collections.abc import Sequence

import numpy as np

from corpusmill.model.data.batches import PairBatch
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import TokenSource


class TranslatedPairs:
    """Pairs of documents, each with the tokens that the tokenizer sets around it.

    Attributes:
        dropped: tokens of pairs of which a side is too long.
    """

    def __init__(
        self,
        stream: TokenSource,
        pairs: np.ndarray,
        sequence_length: int,
        vocabulary: Vocabulary,
        sections: Sequence[tuple[int, int]],
    ) -> None:
        """Finds the pairs of each section.

        Args:
            pairs: where the source begins, where the target begins, and where that ends; int64
                (3, pairs).
            sequence_length: tokens of a side at most.
            sections: (first token, tokens) of each.

        Raises:
            ConfigError: no pair is short enough, or there is none.
        """
        self._stream, self._vocabulary = stream, vocabulary
        chosen, self.sizes, self.dropped = [], [], 0
        for first, tokens in sections:
            there = pairs[:, (pairs[0] >= first) & (pairs[2] <= first + tokens)]
            fitting = there[:, np.diff(there, axis=0).max(0, initial=0) <= sequence_length]
            chosen.append(fitting)
            self.sizes.append(fitting.shape[1])
            self.dropped += int(_total(there) - _total(fitting))
        found = np.concatenate(chosen, axis=1)
        self._source, self._target, self._end = found
        self.longest = int(np.diff(found, axis=0).max(initial=0))
        if not sum(self.sizes):
            there_are = f"{pairs.shape[1]} pairs, all of them longer" if pairs.size else "no pairs"
            raise ConfigError(
                f"train.objectives asks for translation, but the text holds {there_are}; expected "
                f"pairs of up to {sequence_length} tokens a side: give a source `pair` with its "
                "two fields, or raise train.sequence_length."
            )

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these pairs has; int64, (...)."""
        tokens: np.ndarray = self._end[numbers] - self._source[numbers]
        return tokens

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens of each of these pairs are written; int64, (...)."""
        num_targets: np.ndarray = self._end[numbers] - self._target[numbers]
        return num_targets

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> PairBatch:  # noqa: ARG002
        """The pairs with these numbers, in this order; as long as the longest of them."""
        begin, middle, end = self._source[numbers], self._target[numbers], self._end[numbers]
        pad = self._vocabulary.require("pad")
        source_BS = self._rows(begin, middle - begin, pad)
        target_BT = self._rows(middle, end - middle, IGNORED)
        ids_BT = np.full_like(target_BT, pad)
        ids_BT[:, 1:] = np.where(target_BT[:, :-1] == IGNORED, pad, target_BT[:, :-1])
        return PairBatch(source_BS, middle - begin, ids_BT, target_BT)

    def _rows(self, starts: np.ndarray, lengths: np.ndarray, padding: int) -> np.ndarray:
        """Tokens from each start on, and behind them padding; int64."""
        width = int(lengths.max())
        rows = self._stream.rows(starts, width).astype(np.int64)
        rows[np.arange(width) >= lengths[:, None]] = padding
        return rows


def _total(pairs: np.ndarray) -> int:
    return int((pairs[2] - pairs[0]).sum())
