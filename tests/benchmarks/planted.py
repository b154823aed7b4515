"""Near-duplicates planted in real text, and how similar they are, told in plain Python."""

import random
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

KINDS = ("delete", "substitute", "insert", "truncate", "shuffle")
RATES = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03)
_WIDTH = 5
# The scripts of `corpusmill.tasks.ingestion.duplicates.shingles`, as far as they are in the data.
_CHARACTER = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3041-\u312f\u31a0-\u31ff\u3400-\u9fff\uf900-\ufaff]"
)


def plant(texts: Sequence[str], number: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Adds edited copies of random documents behind them, each edited in one way at one rate.

    Returns:
        The documents, and pairs of numbers (original, copy).
    """
    draw = random.Random(seed)
    documents = list(texts)
    pairs = []
    for copy in range(number):
        original = draw.randrange(len(texts))
        kind = KINDS[copy % len(KINDS)]
        pairs.append((original, len(documents)))
        documents.append(edit(draw, texts[original], kind, RATES[copy % len(RATES)]))
    return documents, pairs


def edit(draw: random.Random, text: str, kind: str, rate: float) -> str:
    """A text edited at this rate a word; of truncations, ten times as much is cut off."""
    if kind == "shuffle":
        paragraphs = text.split("\n")
        draw.shuffle(paragraphs)
        return "\n".join(paragraphs)
    words = re.findall(r"\s+|[a-zA-Z]+|.", text)
    if kind == "truncate":
        return "".join(words[: round(len(words) * (1 - 10 * rate))])
    other = draw.sample(words, len(words))
    out = []
    for word, stranger in zip(words, other, strict=True):
        hit = not word.isspace() and draw.random() < rate
        if not hit or kind == "insert":
            out.append(word)
        if hit and kind != "delete":
            out.append(f" {stranger}x ")
    return "".join(out)


def tokens(text: str) -> list[str]:
    """Runs of letters, digits and marks, and single characters of scripts without spaces.

    The selectors of variants, at the very end of Unicode, are no marks of a letter.
    """
    parted = "".join(
        c if c.isalnum() or (unicodedata.category(c)[0] == "M" and c < "\U000e0100") else " "
        for c in text
    )
    folded = "".join(f if len(f := c.casefold()) == 1 else c for c in parted)
    return _CHARACTER.sub(r" \g<0> ", folded).split()


@lru_cache(maxsize=4096)
def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The set of 5-grams of tokens."""
    words = tokens(text)
    if not words:
        return frozenset()
    return frozenset(tuple(words[i : i + _WIDTH]) for i in range(max(1, len(words) - _WIDTH + 1)))


def jaccard(one: str, other: str) -> float:
    """Similarity of two texts; 0 where neither has a token."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a or b else 0.0
