"""Runs without end, such as a page of spaces or a word of a million letters.

A pattern gives up on ten million spaces, and some learners take time with the square of a word. Of
such runs parts are made beforehand, each within the run, so that all other text is left alone.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import count, pairwise

# Characters, far more than any word or any gap in a page has.
ENCODED = 1 << 16
LEARNED = 1 << 10
_FEW_LETTERS = 32
_REPEATED = 16
_UNSPACED = re.compile(rf"[!-~\r\n]{{{LEARNED}}}")
_INCOMPRESSIBLE = 0.7  # base64 goes down to 0.77 of its size, English without spaces to 0.6


def cut_runs(text: str, limit: int) -> list[str]:
    """The text in parts, joined as it was, so that none is of one run much longer than `limit`.

    A run is of letters and digits, of white space, or of other signs. Where none has `limit`
    characters the text stays whole; one of twice as many or more is always cut.
    """
    if len(text) < limit:
        return [text]
    run = _run(limit)
    starts = range(0, len(text) - limit + 1, limit)
    places = [start + limit // 2 for start in starts if run.match(text, start)]
    if not places:
        return [text]
    return [text[start:stop] for start, stop in pairwise([0, *places, len(text)])]


def learnable(texts: Iterable[str]) -> Iterator[str]:
    """The texts, their runs cut, to learn a vocabulary from.

    Of runs of few different characters, such as DNA, and of what is random, such as base64, some 16
    thousand characters each teach what there is to learn; on a million Unigram would sit for
    minutes.
    """
    repeated, drawn = 0, count(1)
    for text in texts:
        parts = cut_runs(text, LEARNED)
        for part in parts:
            if len(parts) > 1 and len(set(part)) <= _FEW_LETTERS:
                repeated += 1
                if repeated > _REPEATED:
                    continue
            yield from _without_more_noise(part, drawn)


def _without_more_noise(text: str, drawn: Iterator[int]) -> Iterator[str]:
    """The text, but for what is random in it beyond the first pieces, which `drawn` counts."""
    begin = 0
    for start in range(0, len(text) - LEARNED + 1, LEARNED):
        stop = start + LEARNED
        random = _UNSPACED.match(text, start) and _is_random(text[start:stop])
        if random and next(drawn) > _REPEATED:
            if begin < start:
                yield text[begin:start]
            begin = stop
    if begin < len(text) or not text:
        yield text[begin:]


def _is_random(text: str) -> bool:
    """Whether nothing comes again in it, so that coding its characters is all there is to save."""
    return len(zlib.compress(text.encode())) > _INCOMPRESSIBLE * len(text)


@cache
def _run(limit: int) -> re.Pattern[str]:
    return re.compile(rf"\w{{{limit}}}|\s{{{limit}}}|[^\w\s]{{{limit}}}")
