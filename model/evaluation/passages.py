"""Prompts from held-out documents: passages that end where a person would pause."""

import re

from corpusmill.storage.corpus.pairs import SEPARATOR

_CLOSING = "\"'”’»)\\]」』】）"
# Where a sentence ends: not after one letter or an abbreviation such as Mr. or No., nor within a
# number; Chinese and Japanese marks stand without a space behind them.
_SENTENCE = re.compile(
    rf"(?<!\b[A-Z])(?<!\b[A-Z][a-z])(?<!\b[A-Z][a-z][a-z])[.!?…]+[{_CLOSING}]*(?=\s|$)"
    rf"|[。！？…｡]+[{_CLOSING}]*|[؟।]+(?=\s|$)|\n\s*\n|{SEPARATOR}"
)
# Lines that end with a sentence are paragraphs too; others may be broken where they were full.
_PARAGRAPH = re.compile(rf"\n\s*\n|[.!?…。！？][{_CLOSING}]*[^\S\n]*\n")
_LINE = re.compile(r"\n")
_CLAUSE = re.compile(r"[,;:—](?=\s)|[，；：、]|\n")
# A first sentence may be so many times as long as a prompt is to be.
_LONGER = 3
_LONGEST_QUESTION = 10


def passage(text: str, length: int) -> str:
    """Some `length` characters from near the middle of `text`, sentence by sentence.

    They begin with a paragraph, or else with a line or a sentence, and end with a sentence: the
    last that lies within the length, or else the first if it ends within three times that; where
    there is none, with a clause or a word. Of a short text, and of a pair, it is what comes first,
    the question of a pair whole, and something is left to write.
    """
    source, pair, _ = text.partition(SEPARATOR)
    if pair and 0 < len(source.strip()) <= _LONGEST_QUESTION * length:
        return source.strip()
    middle = len(text) // 2
    if len(text) <= 2 * length:
        return _cut(text, middle, longest=len(text) - 1) or text[:1]
    start = _beginning(text, middle)
    return _cut(text[start:].lstrip(), length, longest=_LONGER * length) or text[:1]


def _beginning(text: str, middle: int) -> int:
    """Of the first paragraph behind the middle, or else of a sentence or a line, or of the text."""
    for mark in (_PARAGRAPH, _SENTENCE, _LINE):
        found = mark.search(text, middle, len(text) - len(text) // 4)
        if found:
            return found.end()
    return 0


def _cut(text: str, length: int, longest: int) -> str:
    """The beginning of a text to the end of a sentence, of a clause or of a word."""
    for marks in (_SENTENCE, _CLAUSE):
        found = [each.end() for each in marks.finditer(text, 0, longest)]
        ends = [end for end in found if text[:end].strip()]
        within = [end for end in ends if end <= length]
        if ends:
            return text[: within[-1] if within else ends[0]].strip()
    # A script without spaces is cut at the character.
    words = text[: length + 1].rsplit(None, 1)
    return (words[0][:length].strip() if words else "") or text[:length].strip()
