"""Masked tokens (Devlin et al. 2019, §3.1): which are predicted, and what is read in their place.

Shape suffixes: B sequences, T positions, M places that are predicted.
"""

from dataclasses import dataclass

import numpy as np

from corpusmill.model.data.draws import uniforms
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.model.objectives.words import word_numbers

_CHOICE, _FATE, _OTHER = range(3)  # purposes of random numbers
_MASKED, _REPLACED = 0.8, 0.9


@dataclass(frozen=True)
class Masking:
    """The masking of a run.

    Attributes:
        seed: of the run; with a sample's draw it decides everything.
    """

    objective: MaskedTokens
    vocabulary: Vocabulary
    seed: int

    def counts(self, candidates: np.ndarray) -> np.ndarray:
        """How many of so many tokens are predicted: at least one, if there is one; int64."""
        wanted = np.rint(candidates * self.objective.share).astype(np.int64)
        counts: np.ndarray = np.minimum(np.maximum(wanted, 1), candidates)
        return counts

    def apply(
        self, ids_BT: np.ndarray, candidates_BT: np.ndarray, draws: np.ndarray, width: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks some of the candidates.

        Args:
            ids_BT: token ids, which stay as they are.
            candidates_BT: bool: what may be predicted.
            draws: of the sequences; int64 (B,).
            width: M, at least the largest of `counts`.

        Returns:
            The ids that are read, of the same type; places_BM, rising, 0 where there are fewer; and
            targets_BM, -100 there; int64.
        """
        counts = self.counts(candidates_BT.sum(1))
        # What is no candidate comes last in any order.
        order_BT = uniforms(self.seed, draws, _CHOICE, ids_BT.shape[1]) + 2.0 * ~candidates_BT
        if self.objective.whole_words:
            order_BT = self._by_words(ids_BT, candidates_BT, order_BT, counts)
        chosen_BM = np.argsort(order_BT, axis=1)[:, :width]
        used_BM = np.arange(width) < counts[:, None]
        places_BM = np.sort(np.where(used_BM, chosen_BM, ids_BT.shape[1]), axis=1)
        places_BM[~used_BM] = 0
        rows = np.arange(len(ids_BT))[:, None]
        targets_BM = np.where(used_BM, ids_BT[rows, places_BM].astype(np.int64), IGNORED)
        masked_BT = ids_BT.copy()
        read_BM = self._read_instead(ids_BT[rows, places_BM], draws)
        masked_BT[np.nonzero(used_BM)[0], places_BM[used_BM]] = read_BM[used_BM]
        return masked_BT, places_BM, targets_BM

    def _read_instead(self, ids_BM: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """80 % the mask, 10 % any ordinary token, 10 % the token itself."""
        fate_BM = uniforms(self.seed, draws, _FATE, ids_BM.shape[1])
        other_BM = uniforms(self.seed, draws, _OTHER, ids_BM.shape[1])
        ordinary = self.vocabulary.ordinary
        other_BM = ordinary[(other_BM * len(ordinary)).astype(np.int64)]
        mask = self.vocabulary.require("mask")
        replaced = np.where(fate_BM < _REPLACED, other_BM, ids_BM)
        return np.where(fate_BM < _MASKED, mask, replaced)

    def _by_words(
        self,
        ids_BT: np.ndarray,
        candidates_BT: np.ndarray,
        order_BT: np.ndarray,
        counts: np.ndarray,
    ) -> np.ndarray:
        """An order in which the first `counts` tokens are whole words.

        Words come in random order, and one that is too long for what is left is passed over; only
        where none fits is a word cut, so that as many tokens are predicted as was said.
        """
        result_BT = order_BT.copy()
        for row, count in enumerate(counts.tolist()):
            here = np.flatnonzero(candidates_BT[row])
            words = word_numbers(ids_BT[row, here], here, self.vocabulary)
            sizes = np.bincount(words)
            first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            left = count
            taken: list[int] = []
            passed: list[int] = []
            for word in np.argsort(order_BT[row, here[first]]).tolist():
                if not left:
                    break
                (taken if sizes[word] <= left else passed).append(word)
                left -= int(sizes[word]) if sizes[word] <= left else 0
            ranks = np.full(len(here), 1.0)
            for word in taken:
                ranks[first[word] : first[word] + sizes[word]] = 0.0
            if left:
                ranks[first[passed[0]] : first[passed[0]] + left] = 0.0
            result_BT[row, here] = ranks
        return result_BT
