"""WordPiece (Schuster and Nakajima 2012) as BERT takes it: Chinese characters stand alone."""

import json
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PREFIX = "##"
# The blocks that BERT takes for Chinese (Devlin et al. 2019, tokenization.py).
_CHINESE = (
    *(range(0x4E00, 0xA000), range(0x3400, 0x4DC0), range(0xF900, 0xFB00)),
    *(range(0x20000, 0x2A6E0), range(0x2A700, 0x2B820), range(0x2B820, 0x2CEB0)),
    range(0x2F800, 0x2FA20),
)


def train_wordpiece(texts: Sequence[str], vocab_size: int, control: Sequence[str]) -> Tokenizer:
    """A cased WordPiece vocabulary, smaller than `vocab_size` where the texts hold no more.

    At most a third of it are characters, the most frequent ones (each may need a second token for
    its place inside words); the others become [UNK].
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX, cleanup=False)
    alphabet = _alphabet(texts, max(1, (vocab_size - len(control)) // 3))
    # Given beforehand: the library would number them in an order of its own each time.
    inner = [PREFIX + character for character in alphabet if _stands_in_words(character)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*control, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    value = json.loads(tokenizer.to_str())
    value["added_tokens"] = value["added_tokens"][: len(control)]
    return Tokenizer.from_str(json.dumps(value, ensure_ascii=False))


def _alphabet(texts: Sequence[str], size: int) -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    seen = [
        character for character in sorted(counts) if unicodedata.category(character)[0] not in "ZC"
    ]
    return sorted(sorted(seen, key=counts.__getitem__, reverse=True)[:size])


def _stands_in_words(character: str) -> bool:
    if character in string.punctuation or unicodedata.category(character)[0] == "P":
        return False
    return not any(ord(character) in block for block in _CHINESE)
