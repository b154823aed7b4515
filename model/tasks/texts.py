"""Texts, and pairs of texts, as a network that answers with labels reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpusmill.model.network.config import Family
from corpusmill.model.objectives.vocabulary import read_vocabulary
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.errors import ConfigError

_BATCH = 1024
# What a token has at least, as a text of a million characters need not be encoded whole.
_CHARACTERS_A_TOKEN = 64


class TextReader:
    """Encodes texts with the tokens that its family sets around them, cut to a length.

    masked_lm reads `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, causal_lm `<eot> A` or
    `<eot> A <eot> B`, encoder_decoder `A </s>` or `A </s> B </s>`. Of a pair the longer text is cut
    first, as transformers' longest_first does.

    Attributes:
        pad: id of what fills up a row.
    """

    def __init__(self, tokenizer: Path, family: Family, sequence_length: int) -> None:
        """Takes the tokenizer of a folder.

        Raises:
            ConfigError: a sequence has no room for text.
            ModelError: there is no readable tokenizer, or it names no token that fills up.
        """
        vocabulary = read_vocabulary(tokenizer)
        self._tokenizer = load_tokenizer(tokenizer)
        self._causal = family == "causal_lm"
        closing = [vocabulary.closing]
        opening = vocabulary.opening
        self._before = closing if self._causal else [] if opening is None else [opening]
        self._between, self._after = closing, [] if self._causal else closing
        self.pad = vocabulary.closing if self._causal else vocabulary.require("pad")
        self._length = sequence_length
        if self._room(pair=True) < 2:
            raise ConfigError(
                f"train.sequence_length is {sequence_length}, which leaves no room for a pair of "
                "texts between the control tokens; set it to 5 or more."
            )

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> tuple[list[np.ndarray], list[int]]:
        """Ids of each text, and of a pair, at most `sequence_length` of them.

        Returns:
            ids: int64, (tokens,) each.
            firsts: positions of each that belong to its first text.
        """
        firsts = self._ids(texts)
        seconds = self._ids(pairs) if pairs is not None else [None] * len(firsts)
        framed = [self._framed(*each) for each in zip(firsts, seconds, strict=True)]
        return [ids for ids, _ in framed], [first for _, first in framed]

    def rows(
        self, ids: Sequence[np.ndarray], firsts: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `encode` gave, as rows of the longest of them: ids_BT, lengths_B, segments_BT."""
        lengths = np.array([len(each) for each in ids])
        ids_BT = np.full((len(ids), lengths.max()), self.pad, np.int64)
        for row, each in zip(ids_BT, ids, strict=True):
            row[: len(each)] = each
        places_T = np.arange(ids_BT.shape[1])
        second = (places_T >= np.array(firsts)[:, None]) & (places_T < lengths[:, None])
        return ids_BT, lengths, second.astype(np.int64)

    def _room(self, *, pair: bool) -> int:
        """Tokens of text in a sequence."""
        framing = len(self._before) + len(self._after) + (len(self._between) if pair else 0)
        return self._length - framing

    def _ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        cut = self._length * _CHARACTERS_A_TOKEN
        found = []
        for start in range(0, len(texts), _BATCH):
            some = [text[:cut] for text in texts[start : start + _BATCH]]
            encoded = self._tokenizer.encode_batch_fast(some, add_special_tokens=False)
            found += [np.array(each.ids, np.int64) for each in encoded]
        return found

    def _framed(self, first: np.ndarray, second: np.ndarray | None) -> tuple[np.ndarray, int]:
        if second is None:
            parts = self._before, first[: self._room(pair=False)], self._after
            ids = np.concatenate(parts).astype(np.int64)
            return ids, len(ids)
        kept = kept_of(len(first), len(second), self._room(pair=True))
        opened = np.concatenate([self._before, first[: kept[0]], self._between])
        ids = np.concatenate([opened, second[: kept[1]], self._after]).astype(np.int64)
        return ids, len(opened)


def kept_of(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens that are kept of two texts in this room: the longer one is cut, then both."""
    if first + second <= room:
        return first, second
    half = room // 2
    if second <= half:
        return room - second, second
    if first <= room - half:
        return first, room - first
    return room - half, half
