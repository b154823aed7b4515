"""The rules of Gopher and FineWeb compiled by numba; `reference` gives the same in plain Python."""

from functools import cache

import numpy as np
from numba import njit

from corpusmill.tasks.ingestion.cleaning.characters import (
    CLOSES,
    ENDS,
    LETTER,
    WORD,
    flag_table,
    identity_table,
)
from corpusmill.tasks.ingestion.cleaning.scanning import (
    AFTER_BLANK,
    BASE,
    BULLET,
    ELLIPSIS,
    empty_buffers,
    mix,
    power_of,
    scan_lines,
    scan_words,
)
from corpusmill.tasks.ingestion.cleaning.thresholds import (
    DUPLICATE,
    EXCESS,
    KEPT,
    REASONS,
    SPACED,
    STOP_WORDS,
    TOP,
    UNSPACED,
    UNSPACED_SHARE,
)

_NEXT_LINE = np.uint64(0xD6E8FEB86659FD93)
_WORD_COUNT = REASONS.index("gopher.word_count")
_PARAGRAPHS = REASONS.index("gopher.duplicate_paragraph_fraction")
_LINE_ENDS = REASONS.index("fineweb.line_end_ratio")
_FREE = -1


@njit(cache=True, nogil=True)
def _cleared(table, least, value):  # type: ignore[no-untyped-def]
    """The beginning of `table`, at least `least` long and a power of two, filled with `value`."""
    size = 16
    while size < least:
        size *= 2
    table[:size] = value
    return table[:size]


@njit(cache=True, nogil=True)
def _repeated(hashes, lengths, table):  # type: ignore[no-untyped-def]
    """How many items repeat an earlier one, and their characters."""
    table = _cleared(table, 2 * hashes.size, _FREE)
    last = np.uint64(table.size - 1)
    repeated = characters = 0
    for i in range(hashes.size):
        slot = hashes[i] & last
        while table[slot] != _FREE and hashes[table[slot]] != hashes[i]:
            slot = (slot + np.uint64(1)) & last
        if table[slot] == _FREE:
            table[slot] = i
        else:
            repeated += 1
            characters += lengths[i]
    return repeated, characters


@njit(cache=True, nogil=True)
def _find(sums, i, width, power, table):  # type: ignore[no-untyped-def]
    """The slot of the first n-gram equal to that at word `i`, or the free slot for it."""
    key = sums[i + width] - sums[i] * power
    last = np.uint64(table.size - 1)
    slot = mix(key) & last
    while table[slot] != _FREE:
        other = table[slot]
        if sums[other + width] - sums[other] * power == key:
            break
        slot = (slot + np.uint64(1)) & last
    return slot


@njit(cache=True, nogil=True)
def _top(words, width, gap, table, counts):  # type: ignore[no-untyped-def]
    """Characters in all occurrences of the most frequent repeated n-gram; the first if several."""
    sums, ends, kinds = words
    table = _cleared(table, 2 * kinds.size, _FREE)
    power = power_of(width)
    best = most = 0
    for i in range(kinds.size - width + 1):
        slot = _find(sums, i, width, power, table)
        if table[slot] == _FREE:
            table[slot] = i
            counts[i] = 0
        first = table[slot]
        counts[first] += 1
        if counts[first] > most or (counts[first] == most and first < best):
            best, most = first, counts[first]
    return most * (ends[best + width] - ends[best] + gap * (width - 1)) if most > 1 else 0


@njit(cache=True, nogil=True)
def _most_of_top(words, width, gap, table):  # type: ignore[no-untyped-def]
    """An upper bound of `_top`: n-grams that share a slot are counted together."""
    sums, ends, kinds = words
    table = _cleared(table, 2 * kinds.size, 0)
    last = np.uint64(table.size - 1)
    power = power_of(width)
    gaps = gap * (width - 1)
    most = np.int32(0)
    for i in range(kinds.size - width + 1):
        slot = mix(sums[i + width] - sums[i] * power) & last
        table[slot] += ends[i + width] - ends[i] + gaps
        most = max(most, table[slot])
    return most


@njit(cache=True, nogil=True)
def _repeated_in_row(words, width, table):  # type: ignore[no-untyped-def]
    """Characters of n-grams that repeat an earlier one, without overlaps."""
    sums, ends, kinds = words
    table = _cleared(table, 2 * kinds.size, _FREE)
    power = power_of(width)
    characters = i = 0
    while i + width <= kinds.size:
        slot = _find(sums, i, width, power, table)
        if table[slot] == _FREE:
            table[slot] = i
            i += 1
        else:
            characters += ends[i + width] - ends[i]
            i += width
    return characters


@njit(cache=True, nogil=True)
def _most_in_row(words, width, table):  # type: ignore[no-untyped-def]
    """An upper bound of `_repeated_in_row` for this width and all greater ones.

    Repeated n-grams may overlap here, and as each is one bit, some only seem to be repeated. Within
    a repeated n-gram all shorter ones are repeated, too.
    """
    sums, ends, kinds = words
    table = _cleared(table, 2 * kinds.size, 0)
    last = np.uint64(table.size - 1)
    power = power_of(width)
    characters = done = 0
    for i in range(kinds.size - width + 1):
        key = mix(sums[i + width] - sums[i] * power)
        bit = np.int32(1) << np.int32(key >> np.uint64(59))
        if table[key & last] & bit:
            characters += ends[i + width] - ends[max(i, done)]
            done = i + width
        table[key & last] |= bit
    return characters


@njit(cache=True, nogil=True)
def _paragraphs(lines, hashes, lengths):  # type: ignore[no-untyped-def]
    """The hash and the length of every paragraph, written into these arrays."""
    count = 0
    for i in range(lines.hashes.size):
        if lines.marks[i] & AFTER_BLANK:
            hashes[count] = lines.hashes[i]
            lengths[count] = lines.lengths[i]
            count += 1
        else:
            hashes[count - 1] = mix(hashes[count - 1] * _NEXT_LINE + lines.hashes[i])
            lengths[count - 1] += lines.lengths[i] + 1
    return hashes[:count], lengths[:count]


@njit(cache=True, nogil=True)
def _has_stop_words(sums, stop_words):  # type: ignore[no-untyped-def]
    """Whether at least two different stop words are among the words."""
    found = np.uint64(0)
    for i in range(sums.size - 1):
        key = sums[i + 1] - sums[i] * BASE
        if stop_words[key & np.uint64(stop_words.size - 1)] == key and key != found:
            if found:
                return True
            found = key
    return False


@njit(cache=True, nogil=True)
def _quality(words, weight, lines, totals, limits, known):  # type: ignore[no-untyped-def]
    _, _, signs, ellipses = totals
    count = words.kinds.size
    said = length = lettered = 0
    for i in range(count):
        lettered += words.kinds[i] & LETTER != 0
        if words.kinds[i] & WORD:
            said += 1
            length += words.ends[i + 1] - words.ends[i]
    bullets = dotted = 0
    for i in range(lines.marks.size):
        bullets += lines.marks[i] & BULLET != 0
        dotted += lines.marks[i] & ELLIPSIS != 0
    reason = KEPT
    if not limits.min_words <= weight - (count - said) <= limits.max_words:
        reason = _WORD_COUNT
    elif not limits.min_word_length <= length / said <= limits.max_word_length:
        reason = _WORD_COUNT + 1
    elif signs / weight > limits.symbol_ratio:
        reason = _WORD_COUNT + 2
    elif ellipses / weight > limits.symbol_ratio:
        reason = _WORD_COUNT + 3
    elif bullets / lines.marks.size > limits.bullet_lines:
        reason = _WORD_COUNT + 4
    elif dotted / lines.marks.size > limits.ellipsis_lines:
        reason = _WORD_COUNT + 5
    elif lettered / count < limits.letter_words:
        reason = _WORD_COUNT + 6
    elif known.size and not _has_stop_words(words.sums, known):
        reason = _WORD_COUNT + 7
    return reason


@njit(cache=True, nogil=True)
def _line_repetition(lines, size, limits, scratch):  # type: ignore[no-untyped-def]
    table, keys, counts = scratch
    hashes, lengths = _paragraphs(lines, keys, counts)
    paragraphs, paragraph_characters = _repeated(hashes, lengths, table)
    repeated, line_characters = _repeated(lines.hashes, lines.lengths, table)
    reason = KEPT
    if paragraphs > limits.paragraph_fraction * hashes.size:
        reason = _PARAGRAPHS
    elif paragraph_characters > limits.paragraph_characters * size:
        reason = _PARAGRAPHS + 1
    elif repeated > limits.line_fraction * lines.hashes.size:
        reason = _PARAGRAPHS + 2
    elif line_characters > limits.line_characters * size:
        reason = _PARAGRAPHS + 3
    return reason


@njit(cache=True, nogil=True)
def _word_repetition(words, size, limits, scratch):  # type: ignore[no-untyped-def]
    table, _, counts = scratch
    # The quick bounds settle it for nearly every document.
    for k in range(len(limits.top_sizes)):
        width, most = limits.top_sizes[k], limits.top_shares[k] * size
        likely = _most_of_top(words, width, limits.gap, table) > most
        if likely and _top(words, width, limits.gap, table, counts) > most:
            return TOP + k
    sizes, shares = limits.duplicate_sizes, limits.duplicate_shares
    if _most_in_row(words, sizes[0], table) > min(shares) * size:
        for k in range(len(sizes)):
            if _repeated_in_row(words, sizes[k], table) > shares[k] * size:
                return DUPLICATE + k
    return KEPT


@njit(cache=True, nogil=True)
def _fineweb(weight, lines, totals, limits, table):  # type: ignore[no-untyped-def]
    characters, newlines, _, _ = totals
    count = lines.hashes.size
    ended = short = 0
    for i in range(count):
        ended += lines.marks[i] & (ENDS | CLOSES) != 0
        short += lines.lengths[i] <= limits.short_line
    repeated = _repeated(lines.hashes, lines.lengths, table)[1]
    reason = KEPT
    if count == 0 or ended < limits.line_ends * count:
        reason = _LINE_ENDS
    elif short > limits.short_lines * count:
        reason = _LINE_ENDS + 1
    elif repeated > limits.fineweb_line_characters * (characters - newlines):
        reason = _LINE_ENDS + 2
    elif newlines > limits.newlines * weight:
        reason = _LINE_ENDS + 3
    return reason


@njit(cache=True, nogil=True)
def _judge(texts, asked, rules, tables, buffers, reasons):  # type: ignore[no-untyped-def]
    data, offsets = texts
    quality, repetition, fineweb, marks = rules
    flags, fold, stop_words, spaced_limits, unspaced_limits, share, excess = tables
    for i in range(offsets.size - 1):
        start, stop = offsets[i], offsets[i + 1]
        words, visible, alone = scan_words(data, start, stop, (flags, fold), marks, buffers[0])
        lines, totals = scan_lines(data, start, stop, flags, buffers[1])
        unspaced = alone / max(1, visible) >= share
        limits = unspaced_limits if unspaced else spaced_limits
        weight = words.kinds.size - excess * alone
        reason = KEPT
        if quality:
            known = stop_words[1 if unspaced else 0] if asked[i] else stop_words[0, :0]
            reason = _quality(words, weight, lines, totals, limits, known)
        if repetition and reason == KEPT:
            reason = _line_repetition(lines, totals[0], limits, buffers[2])
        if repetition and reason == KEPT:
            reason = _word_repetition(words, totals[0], limits, buffers[2])
        if fineweb and reason == KEPT:
            reason = _fineweb(weight, lines, totals, limits, buffers[2][0])
        reasons[i] = reason


def judge_all(
    data: np.ndarray,
    offsets: np.ndarray,
    asked: np.ndarray,
    rules: tuple[bool, bool, bool],
    marks: bool,
) -> np.ndarray:
    """The index in REASONS of the first rule that each document breaks, or KEPT.

    Memory grows by some 40 bytes a word of the longest document.

    Args:
        data: UTF-8, uint8 (bytes,).
        offsets: int64 (documents + 1,), where each begins.
        asked: bool (documents,), whether the stop words of its language are known.
        rules: whether Gopher's quality, its repetition and FineWeb's rules are applied.
        marks: whether punctuation marks are words, too.
    """
    reasons = np.empty(len(offsets) - 1, np.uint8)
    longest = int(np.diff(offsets).max(initial=0))
    table = np.empty(max(16, 1 << (2 * longest).bit_length()), np.int32)
    keys, counts = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int32)
    # Arguments rather than globals, whose values numba would freeze into the code that it caches.
    limits = (SPACED, UNSPACED, UNSPACED_SHARE, EXCESS)
    tables = (flag_table(), identity_table(), stop_word_table(), *limits)
    buffers = (*empty_buffers(longest), (table, keys, counts))
    _judge((data, offsets), asked, (*rules, marks), tables, buffers, reasons)
    return reasons


@cache
def stop_word_table() -> np.ndarray:
    """Hashes of both STOP_WORDS, each indexed by its last bits; 0 is free; uint64 (2, 1024)."""
    table = np.zeros((2, 1024), np.uint64)
    buffers, _ = empty_buffers(16)
    for i, language in enumerate(STOP_WORDS):
        for word in language:
            data = np.frombuffer(word.encode(), np.uint8)
            tables = (flag_table(), identity_table())
            words, _, _ = scan_words(data, 0, len(data), tables, True, buffers)
            place = int(words.sums[1]) % table.shape[1]
            assert not table[i, place], "two stop words have one place"
            table[i, place] = words.sums[1]
    return table
