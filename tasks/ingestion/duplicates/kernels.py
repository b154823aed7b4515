"""Compiled implementation: numba loops over Arrow's buffers; same results as `vectorised`."""

import numpy as np
from numba import njit

from corpusmill.tasks.ingestion.duplicates.shingles import SHINGLE_BASE, TOKEN_BASE, WIDTH, mix

# Tokens worked on at a time: their hashes stay in the fastest cache, however long the document.
_CHUNK = 4096
# Hashes are padded to a multiple of this, so that no slow remainder of a vector loop is left.
_LANES = 64
_FREE = np.uint64(0)


_mix = njit(cache=True, nogil=True)(mix)


@njit(cache=True, nogil=True)
def _add_tokens(data, position, end, symbols, tokens, count):  # type: ignore[no-untyped-def]
    """Appends token hashes until `tokens` is full or the document ends: (next position, count)."""
    last = tokens.size - 2  # one character may end a word and be a token
    word = np.uint64(0)
    inside = False
    while position < end and count <= last:
        code = np.int64(data[position])
        if code < 0x80:
            position += 1
        elif code < 0xE0:
            code = (code & 0x1F) << 6 | (data[position + 1] & 0x3F)
            position += 2
        elif code < 0xF0:
            code = (code & 0xF) << 12 | (data[position + 1] & 0x3F) << 6 | data[position + 2] & 0x3F
            position += 3
        else:
            code = (code & 7) << 18 | (data[position + 1] & 0x3F) << 12
            code |= (data[position + 2] & 0x3F) << 6 | data[position + 3] & 0x3F
            position += 4
        symbol = symbols[code] if code < symbols.size else 0
        if symbol > 0:
            word = word * TOKEN_BASE + np.uint64(symbol)
            inside = True
        else:
            tokens[count] = word
            count += inside
            word = np.uint64(0)
            inside = False
            if symbol < 0:
                tokens[count] = np.uint64(-symbol)
                count += 1
    if inside:
        tokens[count] = word
        count += 1
    return position, count


@njit(cache=True, nogil=True)
def _hash_shingles(tokens, count, first, hashes):  # type: ignore[no-untyped-def]
    """Writes the hash of every shingle of `count` tokens and returns how many there are."""
    width = WIDTH
    if count < WIDTH:
        if not first or count == 0:
            return 0
        width = count
    number = count - width + 1
    for i in range(number):
        value = tokens[i]
        for j in range(1, width):
            value = value * SHINGLE_BASE + tokens[i + j]
        hashes[i] = _mix(value)
    return number


@njit(cache=True, nogil=True)
def _lower(minima, hashes, number, values, multipliers, addends):  # type: ignore[no-untyped-def]
    """Lowers each permutation's minimum by the upper halves of `number` hashes."""
    for i in range(number):
        values[i] = hashes[i] >> np.uint64(32)
    padded = (number + _LANES - 1) // _LANES * _LANES
    for i in range(number, padded):
        values[i] = values[0]
    for k in range(minima.size):
        multiplier, addend, lowest = multipliers[k], addends[k], minima[k]
        for i in range(padded):
            lowest = min(lowest, np.uint32(multiplier * values[i] + addend))
        minima[k] = lowest


@njit(cache=True, nogil=True)
def band_hashes(data, offsets, symbols, multipliers, addends, bands):  # type: ignore[no-untyped-def]
    """As `vectorised.band_hashes`."""
    out = np.zeros((offsets.size - 1, bands), np.uint64)
    tokens, hashes = np.empty(_CHUNK, np.uint64), np.empty(_CHUNK, np.uint64)
    values, minima = np.empty(_CHUNK, np.uint32), np.empty(multipliers.size, np.uint32)
    rows = minima.size // bands
    for document in range(offsets.size - 1):
        position, end = offsets[document], offsets[document + 1]
        minima.fill(np.uint32(0xFFFFFFFF))
        count, first = 0, True
        while position < end:
            position, count = _add_tokens(data, position, end, symbols, tokens, count)
            number = _hash_shingles(tokens, count, first, hashes)
            if number == 0:
                break
            _lower(minima, hashes, number, values, multipliers, addends)
            first = False
            count = min(count, WIDTH - 1)
            for i in range(count):
                tokens[i] = tokens[number + i]
        if first:
            continue
        for band in range(bands):
            value = np.uint64(0)
            for row in range(rows):
                value = _mix(value + np.uint64(minima[band * rows + row]))  # type: ignore
            out[document, band] = max(value, np.uint64(1))
    return out


@njit(cache=True, nogil=True)
def _find(table, value):  # type: ignore[no-untyped-def]
    """The slot of a value in a table with open addressing, or the free slot for it."""
    mask = np.uint64(table.size - 1)
    place = value & mask
    while table[place] != value and table[place] != _FREE:
        place = (place + np.uint64(1)) & mask
    return place


@njit(cache=True, nogil=True)
def _clear(table, number):  # type: ignore[no-untyped-def]
    """An empty table, within `table`, with room for `number` values."""
    size = 16
    while size < 2 * number:
        size *= 2
    table[:size] = _FREE
    return table[:size]


@njit(cache=True, nogil=True)
def shingle_sets(data, offsets, symbols):  # type: ignore[no-untyped-def]
    """As `vectorised.shingle_sets`, but for the order within a set."""
    longest = np.int64(0)
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    # Of two tokens side by side, one has three bytes or a byte lies between them.
    room = (offsets[-1] - offsets[0] + offsets.size) // 2 + _CHUNK
    out = np.empty(room, np.uint64)
    ends = np.zeros(offsets.size, np.int64)
    size = 16
    while size < longest + 2:
        size *= 2
    whole = np.empty(size, np.uint64)
    tokens = np.empty(_CHUNK, np.uint64)
    end_of_set = 0
    for document in range(offsets.size - 1):
        position, end = offsets[document], offsets[document + 1]
        count, first, total = 0, True, end_of_set
        while position < end:
            position, count = _add_tokens(data, position, end, symbols, tokens, count)
            number = _hash_shingles(tokens, count, first, out[total:])
            if number == 0:
                break
            total += number
            first = False
            count = min(count, WIDTH - 1)
            for i in range(count):
                tokens[i] = tokens[number + i]
        table = _clear(whole, total - end_of_set)
        for i in range(end_of_set, total):
            value = max(out[i], np.uint64(1))
            place = _find(table, value)
            if table[place] == _FREE:
                table[place] = value
                out[end_of_set] = value
                end_of_set += 1
        ends[document + 1] = end_of_set
    return out[:end_of_set], ends


@njit(cache=True, nogil=True)
def similarities(hashes, ends, left, right):  # type: ignore[no-untyped-def]
    """As `vectorised.similarities`; fastest where equal numbers in `left` stand together."""
    largest = np.int64(0)
    for document in range(ends.size - 1):
        largest = max(largest, ends[document + 1] - ends[document])
    size = 16
    while size < 2 * largest:
        size *= 2
    whole = np.empty(size, np.uint64)
    table = _clear(whole, 0)
    out = np.zeros(left.size)
    held = -1
    for pair in range(left.size):
        a, b = left[pair], right[pair]
        if a != held:
            table = _clear(whole, ends[a + 1] - ends[a])
            for i in range(ends[a], ends[a + 1]):
                table[_find(table, hashes[i])] = hashes[i]
            held = a
        shared = 0
        for i in range(ends[b], ends[b + 1]):
            shared += table[_find(table, hashes[i])] != _FREE
        both = ends[a + 1] - ends[a] + ends[b + 1] - ends[b] - shared
        if both:
            out[pair] = shared / both
    return out
