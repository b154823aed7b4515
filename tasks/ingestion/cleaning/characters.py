"""Flags of characters for the cleaning rules, in one table over all of Unicode."""

import unicodedata
from functools import cache

import numpy as np

from corpusmill.storage.scripts import WITHOUT_SPACES, is_among

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

# Planes 2 and 3 are Han, even where the Unicode version of this Python lacks the character.
_HAN_PLANES = 0x20000
# Beyond these planes lie only private use, tags and variation selectors, which are no part of text.
_END = 0x40000
# Unicode's Sentence_Terminal (UAX 44), the Latin ones first, and the shad of Tibetan.
SENTENCE_ENDS = (
    ".?!\u203c\u203d\u2047\u2048\u2049\u3002\uff01\uff0e\uff1f\uff61"
    "\ufe12\ufe15\ufe16\ufe52\ufe56\ufe57"
    "\u0589\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0964\u0965\u0f0d\u0f0e\u104a\u104b"
    "\u1362\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945"
    "\u1aa8\u1aa9\u1aaa\u1aab\u1b5a\u1b5b\u1b5e\u1b5f\u1c3b\u1c3c\u1c7e\u1c7f"
    "\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f"
    "\uaaf0\uaaf1\uabeb"
)
_BULLETS = "-•‣◦●○■□▪◆◇·・"
_CLOSING = "…\"'”’」』）)》】〕］]"


@cache
def flags_of(character: str) -> int:
    """Flags of one character; words as in UAX 29, but single characters in unspaced scripts."""
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
    """`flags_of` every character, by code point; uint16 (0x110000,)."""
    table = np.zeros(0x110000, np.uint16)
    codes = range(_HAN_PLANES)
    table[: len(codes)] = np.fromiter(map(flags_of.__wrapped__, map(chr, codes)), np.uint16)
    table[_HAN_PLANES:_END] = flags_of("\U00020000")
    return table


@cache
def phrase_table() -> np.ndarray:
    """`flag_table` without flags that join words, to find a phrase before `'s` and `.com` too."""
    table = flag_table() & ~np.uint16(JOINS_LETTERS | JOINS_NUMBERS | REPEATS)
    table[ord("_")] = 0
    return table


@cache
def fold_table() -> np.ndarray:
    """Case-folded code points; unchanged where folding gives several; uint32 (0x110000,)."""
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
