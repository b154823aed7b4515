"""What each character is to the cleaning rules, as bits in one table over all of Unicode."""

import unicodedata
from functools import cache

import numpy as np

from storage.scripts import WITHOUT_SPACES, is_among

SPACE = 1
WORD = 2  # letter, mark, number or low line: part of a word
LETTER = 4
NUMBER = 8
ALONE = 16  # of a script without spaces between words: a word by itself
JOINS_LETTERS = 32  # inside a word where a letter follows: don't, e.g
JOINS_NUMBERS = 64  # inside a word where a number follows: 3.14, 1,000
REPEATS = 128  # several in a row are one mark: ... and --
ENDS = 256  # ends a sentence
CLOSES = 512  # may follow the end of a sentence or stand for it: quotes, brackets, …
ITEM = 1024  # begins an item of a list

# Planes 2 and 3 are Han, whether or not the Unicode version of this Python has met the character.
_HAN_PLANES = 0x20000
# Beyond these planes lie only private use, tags and variation selectors, which are no part of text.
_END = 0x40000
SENTENCE_ENDS = ".?!。！？｡．؟۔।॥።။‼⁇⁈⁉︒︕︖﹒﹖﹗"
_BULLETS = "-•‣◦●○■□▪◆◇·・"
_CLOSING = "…\"'”’」』）)》】〕］]"


@cache
def flags_of(character: str) -> int:
    """The bits of one character; words follow UAX 29, but that each of some scripts is alone."""
    code = ord(character)
    category = unicodedata.category(character) if code < _HAN_PLANES else "Lo"
    if code >= _END:
        category = "Cn"
    kinds = {"L": WORD | LETTER, "M": WORD, "N": WORD | NUMBER}
    flags = WORD if category == "Pc" else kinds.get(category[0], 0)
    if flags and is_among(code, WITHOUT_SPACES):
        flags |= ALONE
    flags |= SPACE * character.isspace()
    flags |= JOINS_LETTERS * (character in "'’.") | JOINS_NUMBERS * (character in ".,")
    flags |= REPEATS * (character in ".-") | ITEM * (character in _BULLETS)
    return flags | ENDS * (character in SENTENCE_ENDS) | CLOSES * (character in _CLOSING)


@cache
def flag_table() -> np.ndarray:
    """`flags_of` every character; uint16 (0x110000,)."""
    table = np.zeros(0x110000, np.uint16)
    codes = range(_HAN_PLANES)
    table[: len(codes)] = np.fromiter(map(flags_of.__wrapped__, map(chr, codes)), np.uint16)
    table[_HAN_PLANES:_END] = flags_of("\U00020000")
    return table


@cache
def phrase_table() -> np.ndarray:
    """The table in which nothing joins words, so that a phrase is found before `'s` and `.com`."""
    table = flag_table() & ~np.uint16(JOINS_LETTERS | JOINS_NUMBERS | REPEATS)
    table[ord("_")] = 0
    return table


@cache
def fold_table() -> np.ndarray:
    """The case-folded character for each, itself where that is not one; uint32 (0x110000,)."""
    table = np.arange(0x110000, dtype=np.uint32)
    for code in range(0x20000):
        folded = chr(code).casefold()
        if len(folded) == 1:
            table[code] = ord(folded)
    return table


@cache
def identity_table() -> np.ndarray:
    """The table that folds nothing; uint32 (0x110000,)."""
    return np.arange(0x110000, dtype=np.uint32)
