"""Unigram (Kudo 2018) with a limited alphabet and bytes to fall back on: no text is lost.

Unlike SentencePiece, spaces stay spaces, so that every text comes back as it was.
"""

import json
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusmill.model.tokenizer.alphabet import choose_alphabet, count_characters
from corpusmill.model.tokenizer.bpe import PATTERN
from corpusmill.model.tokenizer.config import BYTES, CHARACTER_COVERAGE

_UNKNOWN = ("<unk>", "[UNK]")


def train_unigram(
    texts: Sequence[str],
    vocab_size: int,
    control: Sequence[str],
    coverage: float = CHARACTER_COVERAGE,
) -> Tokenizer:
    """A Unigram vocabulary, smaller than `vocab_size` where the texts hold no more pieces.

    The characters that make up `coverage` of the texts are pieces, as long as they are at most
    half of them (of 4,096 tokens for Chinese each then holds 5 % more bytes than with a third, and
    9 % more than with seven eighths); the others are spelled in bytes.
    It learns some 0.3 MB of Chinese a second, and 3 MB of English. Unlike the others, it differs a
    little from run to run in scores and the rarest pieces: the library adds up in no fixed order.
    """
    room = vocab_size - len(control) - BYTES
    # No word of this pattern spells a control or byte token: none goes on behind its letters.
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    vocabulary = [
        *((token, 0.0) for token in control),
        *((f"<0x{byte:02X}>", 0.0) for byte in range(BYTES)),
        *_learn_pieces(_with_alphabet(texts, room, coverage), room, split),
    ]
    unknown = next(number for number, token in enumerate(control) if token in _UNKNOWN)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unknown, byte_fallback=True))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(control))
    return tokenizer


def _learn_pieces(
    texts: Sequence[str], number: int, split: pre_tokenizers.Split
) -> list[tuple[str, float]]:
    """Pieces and their log probabilities."""
    if not any(texts):
        return []
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = split
    trainer = trainers.UnigramTrainer(
        vocab_size=number + 1, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]["vocab"][1:]
    # Of text with next to no variety some have no probability: NaN, which JSON writes as null.
    return [(piece, score) for piece, score in learned if score is not None]


def _with_alphabet(texts: Sequence[str], room: int, coverage: float) -> list[str]:
    """The texts without the characters that are to be spelled in bytes."""
    counts = count_characters(texts)
    del counts["\0"]  # to the library it is the boundary of words
    chosen = choose_alphabet(counts, room, room // 2, coverage)
    rare = {ord(character): None for character in counts.keys() - {*chosen.characters} | {"\0"}}
    return [text.translate(rare) for text in texts]
