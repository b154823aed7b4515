"""N-grams of words, hashed and looked up by numba; `phrases` gives the same in plain Python."""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpusmill.tasks.ingestion.cleaning.characters import WORD, fold_table, phrase_table
from corpusmill.tasks.ingestion.cleaning.scanning import (
    BASE,
    empty_buffers,
    mix,
    power_of,
    scan_words,
)
from corpusmill.tasks.ingestion.cleaning.thresholds import UNSPACED_SHARE

_FREE = -1


class Table(NamedTuple):
    """A hash table of n-grams with open addressing, behind a Bloom filter of one bit for each.

    Attributes:
        keys: uint64 (slots,), the hash of the n-gram.
        owners: int32 (slots,), the index of the text that it is from; -1 if the slot is free.
        bits: uint32 (slots,), the Bloom filter.
        widths: int64 (widths,), the different numbers of words in an n-gram.
        powers: uint64 (widths,), BASE to the power of each width.
    """

    keys: np.ndarray
    owners: np.ndarray
    bits: np.ndarray
    widths: np.ndarray
    powers: np.ndarray


@njit(cache=True, nogil=True)
def _scan(texts, i, tables, marks, buffers):  # type: ignore[no-untyped-def]
    """The sums of the words of text `i`, without marks if these are not wanted, and the share of
    characters that stand alone.
    """
    data, offsets = texts
    words, visible, alone = scan_words(data, offsets[i], offsets[i + 1], tables, True, buffers)
    sums, share = words.sums, alone / max(1, visible)
    if marks:
        return sums, share
    count = 0
    before = np.uint64(0)
    for word in range(words.kinds.size):
        after = sums[word + 1]
        if words.kinds[word] & WORD:
            sums[count + 1] = sums[count] * BASE + (after - before * BASE)
            count += 1
        before = after
    return sums[: count + 1], share


@njit(cache=True, nogil=True)
def _hash(texts, shape, tables, marks, buffers, found):  # type: ignore[no-untyped-def]
    """Writes key, owner and width of each n-gram of each text, and returns how many."""
    width, least, longer, unspaced_share = shape
    keys, owners, widths = found
    total = 0
    for text in range(texts[1].size - 1):
        sums, share = _scan(texts, text, tables, marks, buffers)
        scale = longer if share >= unspaced_share else 1.0
        size = min(sums.size - 1, round(width * scale))
        if size == 0 or size < min(width, least) * scale:
            continue
        power = power_of(size)
        for i in range(sums.size - size):
            keys[total] = mix(sums[i + size] - sums[i] * power)
            owners[total] = text
            widths[total] = size
            total += 1
    return total


@njit(cache=True, nogil=True)
def _fill(keys, owners, table):  # type: ignore[no-untyped-def]
    last = np.uint64(table.keys.size - 1)
    for i in range(keys.size):
        slot = keys[i] & last
        while table.owners[slot] != _FREE and table.keys[slot] != keys[i]:
            slot = (slot + np.uint64(1)) & last
        if table.owners[slot] == _FREE:
            table.keys[slot] = keys[i]
            table.owners[slot] = owners[i]
        table.bits[keys[i] & last] |= np.uint32(1) << np.uint32(keys[i] >> np.uint64(59))


@njit(cache=True, nogil=True)
def _owner(sums, i, table):  # type: ignore[no-untyped-def]
    """The index of the text that has the n-gram at word `i`, or -1."""
    last = np.uint64(table.keys.size - 1)
    for k in range(table.widths.size):
        after = i + table.widths[k]
        if after >= sums.size:
            break
        key = mix(sums[after] - sums[i] * table.powers[k])
        if (table.bits[key & last] >> np.uint32(key >> np.uint64(59))) & np.uint32(1):
            slot = key & last
            while table.owners[slot] != _FREE:
                if table.keys[slot] == key:
                    return table.owners[slot]
                slot = (slot + np.uint64(1)) & last
    return _FREE


@njit(cache=True, nogil=True)
def _find(texts, tables, marks, buffers, table, found):  # type: ignore[no-untyped-def]
    for text in range(texts[1].size - 1):
        sums, _ = _scan(texts, text, tables, marks, buffers)
        found[text] = _FREE
        for i in range(sums.size - 1):
            owner = _owner(sums, i, table)
            if owner != _FREE:
                found[text] = owner
                break


def make_table(
    data: np.ndarray, offsets: np.ndarray, width: int, least: int, longer: float, marks: bool
) -> Table:
    """The table of all n-grams of these texts; the arguments are those of `PhraseMatcher`."""
    size = int(offsets[-1] - offsets[0])
    words, _ = empty_buffers(int(np.diff(offsets).max(initial=0)))
    keys, owners = np.empty(size + 1, np.uint64), np.empty(size + 1, np.int32)
    widths = np.empty(size + 1, np.int32)
    tables = (phrase_table(), fold_table())
    shape = (width, least, longer, UNSPACED_SHARE)
    total = _hash((data, offsets), shape, tables, marks, words, (keys, owners, widths))
    places = max(16, 1 << (2 * total).bit_length())
    present = np.unique(widths[:total]).astype(np.int64)
    table = Table(
        np.empty(places, np.uint64),
        np.full(places, _FREE, np.int32),
        np.zeros(places, np.uint32),
        present,
        np.array([power_of(width) for width in present], np.uint64),
    )
    _fill(keys[:total], owners[:total], table)
    return table


def find(data: np.ndarray, offsets: np.ndarray, table: Table, marks: bool) -> np.ndarray:
    """int32 (documents,): the index of the text whose n-gram each document holds first, or -1."""
    found = np.empty(len(offsets) - 1, np.int32)
    words, _ = empty_buffers(int(np.diff(offsets).max(initial=0)))
    _find((data, offsets), (phrase_table(), fold_table()), marks, words, table, found)
    return found
