"""What learning a vocabulary takes in memory, told beforehand from the text."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.sampling import Piece

_PILOT_BYTES = 4 << 20
# Of the words that BPE is learned on, near enough to count them; BERT's take Chinese apart.
_WORDS = re.compile(r"[^\r\n\w]?[^\W\d_]+|\d{1,3}| ?[^\s\w]+[\r\n]*|\s+|_+")
_BERT_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\s\w]")
# Bytes of memory for each byte of distinct words, measured on 6 to 100 MB of English and Chinese at
# 16 k and 32 k tokens: rustbpe 57 to 65, BPE by tokenizers 78 to 119, WordPiece 79, Unigram 86 to
# 110.
_PER_WORD_BYTE = {"rustbpe": 70, "bpe": 125, "wordpiece": 90, "unigram": 120}
_FIXED = 64 << 20
_PER_PIECE = 200


def cut_to_memory(sample: list[Piece], config: TokenizerConfig) -> tuple[list[Piece], str]:
    """The pieces that `config.memory_bytes` are predicted to suffice for, and a sentence on it."""
    need, allowed = predict_memory(sample, learner_of(config)), config.memory_bytes
    share = 1.0
    while need(share) > allowed and share > 1e-3:
        share *= 0.97
    kept = sample if share == 1.0 else [piece for piece in sample if piece.rank < share]
    said = f"Learning from {_utf8(kept):,} bytes, predicted to take {need(share) / 1e9:.1f} GB"
    if share < 1.0:
        said += (
            f": {share:.0%} of the sample, as all of it would take {need(1.0) / 1e9:.1f} GB and "
            f"tokenizer.memory_bytes allows {allowed / 1e9:.1f} GB"
        )
    return kept, f"{said}."


def predict_memory(sample: Sequence[Piece], learner: str) -> Callable[[float], float]:
    """Bytes of memory that learning from a share of the sample takes, as a function of the share.

    The bytes of distinct words grow with a power of the text (Heaps 1978). It is found on the first
    4 MB, and falls slowly as the text grows: the prediction errs upwards.

    Args:
        sample: by rank, so that its beginning is like the whole.
        learner: rustbpe, bpe (by tokenizers), wordpiece or unigram.
    """
    held = sum(sys.getsizeof(piece.text) + _PER_PIECE for piece in sample)
    words = _BERT_WORDS if learner == "wordpiece" else _WORDS
    size = _utf8(sample)
    read, half, distinct = _pilot(sample, min(_PILOT_BYTES, size), words)
    power = min(1.0, max(0.3, math.log2(distinct / half))) if half else 1.0
    growth = size / max(1, read)

    def need(share: float) -> float:
        at_share: float = distinct * (share * growth) ** power
        return _FIXED + share * held + _PER_WORD_BYTE[learner] * at_share

    return need


def learner_of(config: TokenizerConfig) -> str:
    """What learns here: rustbpe, or bpe, wordpiece or unigram, all three by `tokenizers`."""
    if config.source:
        return "bpe"
    if config.algorithm == "bpe" and find_spec("rustbpe"):
        return "rustbpe"
    return config.algorithm


def _pilot(sample: Sequence[Piece], goal: int, words: re.Pattern[str]) -> tuple[int, int, int]:
    """Bytes of the first pieces, of the distinct words of half of them, and of them all."""
    read, half = 0, 0
    met: set[str] = set()
    for piece in sample:
        met.update(words.findall(piece.text))
        read += len(piece.text.encode())
        if not half and read >= goal / 2:
            half = sum(len(word.encode()) for word in met)
        if read >= goal:
            break
    return read, half, sum(len(word.encode()) for word in met)


def _utf8(sample: Sequence[Piece]) -> int:
    return sum(len(piece.text.encode()) for piece in sample)
