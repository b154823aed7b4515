"""Byte-level BPE: byte-pair encoding (Sennrich et al. 2016) over UTF-8 bytes (Radford et al. 2019).

`rustbpe` learns the merges where it is installed, Hugging Face `tokenizers` otherwise; the
vocabulary is laid out alike: control tokens, the 256 bytes, then one token a merge.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusmill.model.tokenizer.config import BYTES
from corpusmill.model.tokenizer.panics import panics_as_errors

# Words with their leading space, numbers of up to three digits, punctuation, line ends: the
# pattern published with Llama 3, which holds for every script that Unicode calls letters.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PRINTED = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
# Bytes that do not print are written as the characters from U+0100 on (Radford et al. 2019).
_SHIFTED = [byte for byte in range(BYTES) if byte not in _PRINTED]
SYMBOLS = {byte: chr(byte) for byte in _PRINTED} | {
    byte: chr(BYTES + number) for number, byte in enumerate(_SHIFTED)
}

Merge = tuple[str, str]


def train_bpe(
    texts: Sequence[str], vocab_size: int, control: Sequence[str]
) -> tuple[Tokenizer, str]:
    """A byte-level BPE learned from `texts`, and the engine that learned it, with why.

    The vocabulary is smaller than `vocab_size` where the texts hold no more pairs.
    """
    try:
        vocabulary, merges = _learn_by_rustbpe(texts, vocab_size - len(control))
    except ImportError:
        engine = "tokenizers (rustbpe is not installed)"
        return train_by_tokenizers(texts, vocab_size, control), engine
    except Exception as error:  # of whatever kind: the library is asked in its place
        engine = f"tokenizers (rustbpe refused: {error})"
        return train_by_tokenizers(texts, vocab_size, control), engine
    numbered = {token: number for number, token in enumerate([*control, *vocabulary])}
    tokenizer = _around(models.BPE(numbered, merges))
    tokenizer.add_special_tokens(list(control))
    return tokenizer, "rustbpe"


def _around(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_by_tokenizers(texts: Iterable[str], vocab_size: int, control: Sequence[str]) -> Tokenizer:
    """The same by `tokenizers` alone."""
    tokenizer = _around(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(control),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _learn_by_rustbpe(texts: Sequence[str], size: int) -> tuple[list[str], list[Merge]]:
    import rustbpe

    learner = rustbpe.Tokenizer()
    with panics_as_errors():
        learner.train_from_iterator(iter(texts), size, pattern=PATTERN)
    ranked = sorted(learner.get_mergeable_ranks(), key=lambda item: item[1])
    tokens = ["".join(map(SYMBOLS.__getitem__, token)) for token, _ in ranked]
    if len(set(tokens)) < len(tokens):
        raise ValueError("two of its merges spell one token")
    merges = merges_of(tokens[BYTES:])
    return sorted(tokens[:BYTES]) + tokens[BYTES:], merges


def merges_of(tokens: Iterable[str]) -> list[Merge]:
    """The pair that each token was merged from: what the earlier merges leave of its symbols.

    Raises:
        ValueError: they leave more than two.
    """
    ranks: dict[Merge, int] = {}
    for token in tokens:
        parts = list(token)
        while len(parts) > 2:
            rank, at = min(
                (ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts))
            )
            if rank == len(ranks):
                raise ValueError(f"the token {token!r} is no pair of earlier ones")
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ranks[parts[0], parts[1]] = len(ranks)
    return list(ranks)
