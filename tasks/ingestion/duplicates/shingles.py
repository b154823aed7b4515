"""What two documents are compared by: the set of their 5-grams of tokens, each a 64-bit hash.

A token is a run of letters, digits and marks, case folded, or a single character of a script that
is written without spaces. White space, punctuation and symbols part tokens and are otherwise
ignored. A document of fewer than 5 tokens is one shingle, a document without tokens is none.

A token of the characters c1 … cn has the hash c1 P^(n-1) + … + cn, a shingle of the tokens
t1 … t5 the hash mix(t1 M^4 + … + t5), all modulo 2^64, where mix is the finaliser of SplitMix64
(Steele, Lea and Flood 2014).
"""

import unicodedata
from functools import cache

import numpy as np

WIDTH = 5
TOKEN_BASE = np.uint64(0xA0761D6478BD642F)
SHINGLE_BASE = np.uint64(0xE7037ED1A0B428DB)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)

# Thai, Lao, Myanmar, Khmer, radicals, 々〇, kana and Bopomofo, Han, Han for compatibility, and
# the Han of the supplementary planes. Korean has spaces.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3041, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)
_END = 0x323B0  # beyond it lie no letters


@cache
def symbols() -> np.ndarray:
    """What each character is to a token; int32 (characters,), indexed by code point.

    0 parts tokens; a positive number is the character after simple case folding (one to one: ß
    stays ß); a negative one is, negated, a character that is a token by itself. Characters at and
    beyond the end of the table part tokens. Classes are those of Python's own Unicode tables.
    """
    table = np.zeros(_END, np.int32)
    for code in range(_END):
        character = chr(code)
        if character.isalnum() or unicodedata.category(character).startswith("M"):
            folded = character.casefold()
            table[code] = ord(folded) if len(folded) == 1 else code
    for first, last in _WITHOUT_SPACES:
        table[first : last + 1] *= -1
    table.flags.writeable = False
    return table


def mix(values: np.ndarray) -> np.ndarray:
    """Scatters values over all of uint64, one to one."""
    values = (values ^ (values >> np.uint64(30))) * MIX_1
    values = (values ^ (values >> np.uint64(27))) * MIX_2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
