"""WordPiece (Schuster and Nakajima 2012) as BERT takes it: Chinese characters stand alone."""

import json
import logging
import string
import unicodedata
from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpusmill.model.tokenizer.alphabet import Alphabet, choose_alphabet, count_characters
from corpusmill.model.tokenizer.config import CHARACTER_COVERAGE

PREFIX = "##"
_REST = 8  # one token in so many is kept for words, whatever the characters take
_LOGGER = logging.getLogger(__name__)
# The blocks that BERT takes for Chinese (Devlin et al. 2019, tokenization.py).
_CHINESE = (
    *(range(0x4E00, 0xA000), range(0x3400, 0x4DC0), range(0xF900, 0xFB00)),
    *(range(0x20000, 0x2A6E0), range(0x2A700, 0x2B820), range(0x2B820, 0x2CEB0)),
    range(0x2F800, 0x2FA20),
)


def train_wordpiece(
    texts: Sequence[str],
    vocab_size: int,
    control: Sequence[str],
    coverage: float = CHARACTER_COVERAGE,
) -> Tokenizer:
    """A cased WordPiece vocabulary, smaller than `vocab_size` where the texts hold no more.

    The characters that make up `coverage` of the texts are tokens (each may need a second one for
    its place inside words), as long as an eighth is left for words, or what words there are. Where
    they do not fit there is a warning, and the others become [UNK].
    """
    room = vocab_size - len(control)
    counts = {
        character: count
        for character, count in count_characters(texts).items()
        if unicodedata.category(character)[0] not in "ZC"
    }
    words = _kept_for_words(room)
    alphabet = choose_alphabet(counts, room, room - words, coverage, _tokens_of)
    tokenizer = _learn(texts, vocab_size, control, alphabet)
    holding = _room_for(alphabet.size)
    unused = vocab_size - tokenizer.get_vocab_size()
    if alphabet.short and unused > 0:
        # Chinese by itself has no words of several characters, and no use for their tokens.
        words = max(0, words - unused)
        alphabet = choose_alphabet(counts, room, room - words, coverage, _tokens_of)
        tokenizer = _learn(texts, vocab_size, control, alphabet)
        holding = alphabet.size + words
    if alphabet.short:
        _warn(vocab_size, len(control) + holding, alphabet, coverage)
    return tokenizer


def _learn(
    texts: Sequence[str], vocab_size: int, control: Sequence[str], alphabet: Alphabet
) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX, cleanup=False)
    characters = sorted(alphabet.characters)
    # Given beforehand: the library would number them in an order of its own each time.
    inner = [PREFIX + character for character in characters if _stands_in_words(character)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*control, *inner],
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    value = json.loads(tokenizer.to_str())
    value["added_tokens"] = value["added_tokens"][: len(control)]
    return Tokenizer.from_str(json.dumps(value, ensure_ascii=False))


def _warn(vocab_size: int, holding: int, alphabet: Alphabet, coverage: float) -> None:
    _LOGGER.warning(
        "tokenizer.vocab_size is %s, and %s characters make up %.4g %% of the text: the %s most "
        "frequent are tokens, and %.2g %% of the text becomes [UNK]; set it to %s or more for all "
        "of them.",
        f"{vocab_size:,}",
        f"{alphabet.covering:,}",
        100 * coverage,
        f"{len(alphabet.characters):,}",
        100 * alphabet.lost,
        f"{holding:,}",
    )


def _kept_for_words(room: int) -> int:
    return max(1, room // _REST)


def _room_for(size: int) -> int:
    """The least room that holds characters of so many tokens beside what it keeps for words."""
    return max(size + 1, _REST * (size - 1) // (_REST - 1) + 1)


def _tokens_of(character: str) -> int:
    return 1 + _stands_in_words(character)


def _stands_in_words(character: str) -> bool:
    if character in string.punctuation or unicodedata.category(character)[0] == "P":
        return False
    return not any(ord(character) in block for block in _CHINESE)
