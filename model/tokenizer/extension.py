"""More merges for a vocabulary that is there: its ids stay, and every encoding decodes as before.

Each word of the text is spelled in the tokens that it has today; byte-pair encoding goes on from
there, on tokens in place of bytes. The new merges come after the old ones, so that what a text
becomes is its old tokens, some of them joined.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpusmill.model.tokenizer.bpe import Merge
from corpusmill.model.tokenizer.wordpiece import PREFIX
from corpusmill.storage.errors import ConfigError

_FIRST_SYMBOL = 0x10000  # past all white space: a character for each id up to 2^20
_SPARE = 1.05  # some merges spell a token that is there already
_WORDS_AT_A_TIME = 1 << 14


def extend_tokenizer(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> Tokenizer:
    """The tokenizer with `size` tokens, the new ones learned from `texts`.

    It takes BPE and WordPiece (whose merges only lengthen its list of pieces), and reads some 3 MB
    of English a second, 1 MB of Chinese.

    Raises:
        ConfigError: another algorithm, no words to learn from, or too few for so many tokens.
    """
    value = json.loads(tokenizer.to_str())
    kind, present = value["model"]["type"], tokenizer.get_vocab_size()
    if kind not in ("BPE", "WordPiece") or tokenizer.pre_tokenizer is None:
        raise ConfigError(
            f"tokenizer.extend_to is set, but the vocabulary brought along is a {kind} of "
            f"{'whole texts' if kind == 'BPE' else 'weighed pieces'}, which has no merges of words "
            "to go on from; leave extend_to out, or learn a new vocabulary."
        )
    spelled = _spell(tokenizer, _count_words(tokenizer, texts))
    merges = _learn_merges(spelled, int((size - present) * _SPARE) + 64)
    reached = _append(value, tokenizer, merges, size)
    if reached < size:
        raise ConfigError(
            f"tokenizer.extend_to is {size}, but the training text holds only {reached - present} "
            f"tokens that are not among the {present} yet; set it to {reached} or less, or add "
            "text."
        )
    return Tokenizer.from_str(json.dumps(value, ensure_ascii=False))


def _count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word comes, as the tokenizer cuts them before its model sees them."""
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    counts: Counter[str] = Counter()
    for text in texts:
        plain = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        counts.update(word for word, _ in split(plain))
    return counts


def _spell(tokenizer: Tokenizer, counts: Counter[str]) -> Iterator[tuple[str, int]]:
    """Words as one character for each of their present tokens, and how often they come."""
    bare = Tokenizer(tokenizer.model)
    unknown = bare.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    words = list(counts)
    for start in range(0, len(words), _WORDS_AT_A_TIME):
        part = words[start : start + _WORDS_AT_A_TIME]
        for word, encoding in zip(part, bare.encode_batch_fast(part), strict=True):
            if len(encoding.ids) > 1 and unknown not in encoding.ids:
                yield "".join(chr(_FIRST_SYMBOL + number) for number in encoding.ids), counts[word]


def _learn_merges(words: Iterable[tuple[str, int]], number: int) -> list[Merge]:
    """Pairs of strings of ids as characters, the most frequent first, each on top of the others."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = list(words)
    symbols = len({symbol for word, _ in words for symbol in word})
    trainer = trainers.BpeTrainer(vocab_size=symbols + number, show_progress=False)
    learner.train_from_iterator((" ".join([word] * count) for word, count in words), trainer)
    return [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]


def _append(value: dict[str, Any], tokenizer: Tokenizer, merges: Sequence[Merge], size: int) -> int:
    """Writes the merges into the JSON of the tokenizer; returns the tokens that it then has."""
    model = value["model"]
    prefix = PREFIX if model["type"] == "WordPiece" else ""
    # Added tokens beyond the model's own would move up if the model alone grew.
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    names = {number: token for token, number in vocabulary.items()}
    following = max(names) + 1
    for pair in merges:
        left, right = (_joined(names, symbols, prefix) for symbols in pair)
        token = left + right.removeprefix(prefix)
        if token not in vocabulary:
            if len(vocabulary) == size:
                break
            vocabulary[token] = following
            following += 1
        if model["type"] == "BPE":
            model["merges"].append([left, right])
    model["vocab"] = vocabulary
    return len(vocabulary)


def _joined(names: dict[int, str], symbols: str, prefix: str) -> str:
    first, *rest = (names[ord(symbol) - _FIRST_SYMBOL] for symbol in symbols)
    return first + "".join(token.removeprefix(prefix) for token in rest)
