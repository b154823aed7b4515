"""One pass over the UTF-8 bytes of a document by numba: its words, or its lines, as numbers.

Words are kept as sums: `sums[i]` is a polynomial of the hashes of the words before word `i`, so
that `n` words in a row from `i` on have the hash `sums[i + n] - sums[i] * BASE**n`, in 64 bits.
Two different sequences of one document are equal in it once in about 10^13 documents.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpusmill.tasks.ingestion.cleaning.characters import (
    ALONE,
    ITEM,
    JOINS_LETTERS,
    JOINS_NUMBERS,
    NUMBER,
    REPEATS,
    SPACE,
    WORD,
)

BASE = np.uint64(0x9E3779B97F4A7C15)
BULLET = 1
ELLIPSIS = 2
AFTER_BLANK = 4
_PRIME = np.uint64(0x100000001B3)
_SEED = np.uint64(0xCBF29CE484222325)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


class Words(NamedTuple):
    """Buffers for the words of one document.

    Attributes:
        sums: uint64 (words + 1,), see above.
        ends: int32 (words + 1,): characters in the words before each.
        kinds: uint16 (words,): the flags of a word's characters, together.
    """

    sums: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray


class Lines(NamedTuple):
    """Buffers for the lines of one document that are not blank.

    Attributes:
        hashes: uint64 (lines,).
        lengths: int32 (lines,), in characters.
        marks: uint16 (lines,): BULLET, ELLIPSIS, AFTER_BLANK, and the upper flags of the last
            visible character.
    """

    hashes: np.ndarray
    lengths: np.ndarray
    marks: np.ndarray


def empty_buffers(size: int) -> tuple[Words, Lines]:
    """Buffers for documents of up to `size` bytes; the system maps only pages that are written."""
    words = Words(
        np.empty(size + 2, np.uint64), np.empty(size + 2, np.int32), np.empty(size + 2, np.uint16)
    )
    lines = Lines(
        np.empty(size + 1, np.uint64), np.empty(size + 1, np.int32), np.empty(size + 1, np.uint16)
    )
    return words, lines


@njit(cache=True, nogil=True)
def power_of(width):  # type: ignore[no-untyped-def]
    """BASE to the power of `width`, modulo 2^64."""
    power = np.uint64(1)
    for _ in range(width):
        power *= BASE
    return power


@njit(cache=True, nogil=True)
def decode(data, at):  # type: ignore[no-untyped-def]
    """The character at this byte, and where the next one begins."""
    code = np.int64(data[at])
    if code < 0x80:
        return code, at + 1
    if code < 0xE0:
        return (code & 0x1F) << 6 | (data[at + 1] & 0x3F), at + 2
    if code < 0xF0:
        return (code & 0xF) << 12 | (data[at + 1] & 0x3F) << 6 | data[at + 2] & 0x3F, at + 3
    code = (code & 7) << 18 | (data[at + 1] & 0x3F) << 12
    return code | (data[at + 2] & 0x3F) << 6 | data[at + 3] & 0x3F, at + 4


@njit(cache=True, nogil=True)
def mix(word):  # type: ignore[no-untyped-def]
    """Spreads the hash of a word's characters over all 64 bits."""
    word = (word ^ word >> np.uint64(32)) * _MIX
    return word ^ word >> np.uint64(29)


@njit(cache=True, nogil=True)
def _belongs(flag, first, repeated, data, after, stop, flags):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Whether a visible character belongs to the word before it, as `reference.segment` has it."""
    if first & WORD == 0:
        return repeated and flag & REPEATS != 0
    if (first | flag) & ALONE:
        return False
    if flag & WORD:
        return True
    if flag & (JOINS_LETTERS | JOINS_NUMBERS) == 0 or after == stop:
        return False
    next_flag = flags[decode(data, after)[0]]
    if next_flag & (WORD | ALONE) != WORD:
        return False
    return flag & (JOINS_NUMBERS if next_flag & NUMBER else JOINS_LETTERS) != 0


@njit(cache=True, nogil=True)
def scan_words(data, start, stop, tables, marks, words):  # type: ignore[no-untyped-def]
    """The words of bytes `start` to `stop`, written into `words`; the number of visible characters;
    and how many of these are words by themselves.

    Args:
        tables: the flags of each character, and the character that it counts as.
        marks: whether punctuation marks are words; otherwise they belong to the word they touch.
    """
    flags, fold = tables
    sums, ends, kinds = words
    sums[0] = ends[0] = count = visible = alone = length = 0
    word = _SEED
    kind = first = np.uint16(0)
    code = np.int64(0)
    at = start
    while at < stop or length:
        before = code
        flag = np.uint16(SPACE)
        if at < stop:
            code, at = decode(data, at)
            flag = flags[code]
        space = flag & SPACE != 0
        goes_on = not space and length > 0
        if goes_on:
            if marks:
                goes_on = _belongs(flag, first, code == before, data, at, stop, flags)
            else:
                goes_on = (kind | flag) & ALONE == 0 or kind & flag & WORD == 0
        if not goes_on:
            if length:
                sums[count + 1] = sums[count] * BASE + mix(word)
                ends[count + 1] = ends[count] + length
                kinds[count] = kind
                count += 1
            word = _SEED
            kind = np.uint16(0)
            first = flag
            length = 0
        if not space:
            word = (word ^ np.uint64(fold[code])) * _PRIME
            kind |= flag
            length += 1
            visible += 1
            alone += flag & ALONE != 0
    return Words(sums[: count + 1], ends[: count + 1], kinds[:count]), visible, alone


@njit(cache=True, nogil=True)
def scan_lines(data, start, stop, flags, lines):  # type: ignore[no-untyped-def]
    """The lines of bytes `start` to `stop` that are not blank, written into `lines`; and the
    numbers of characters, newlines, `#` and ellipses.
    """
    hashes, lengths, marks = lines
    count = characters = newlines = signs = ellipses = 0
    at = start
    after_blank = np.uint16(AFTER_BLANK)
    while at < stop:
        line = _SEED
        mark = after_blank
        last = np.int64(0)
        length = dots = run = 0
        blank = True
        ended = False
        spaced = False
        while at < stop:
            code, at = decode(data, at)
            if code == 10:
                ended = True
                break
            line = (line ^ np.uint64(code)) * _PRIME
            length += 1
            flag = flags[code]
            if flag & SPACE:
                spaced = True
                run = 0
                continue
            if blank and flag & ITEM:
                mark |= np.uint16(BULLET)
            if code == 0x2E:
                dots = 1 if spaced else dots + 1
                run += 1
                if run == 3:
                    ellipses += 1
                    run = 0
            else:
                dots = run = 0
                ellipses += code == 0x2026
                signs += code == 0x23
            blank = spaced = False
            last = code
        characters += length + ended
        newlines += ended
        after_blank = np.uint16(AFTER_BLANK if blank else 0)
        if not blank:
            if dots >= 3 or last == 0x2026:
                mark |= np.uint16(ELLIPSIS)
            hashes[count] = mix(line)
            lengths[count] = length
            marks[count] = mark | flags[last] & np.uint16(0xFF00)
            count += 1
    found = Lines(hashes[:count], lengths[:count], marks[:count])
    return found, (characters, newlines, signs, ellipses)
