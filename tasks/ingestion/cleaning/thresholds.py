"""Thresholds of the rules of Gopher and FineWeb: one set for spaced scripts, one for the others.

Spaced: Rae et al. 2021 (arXiv 2112.11446), section A.1 and table A1; FineWeb: Penedo et al. 2024
(arXiv 2406.17557), section 3.6.

Unspaced (Chinese first): the values that FineWeb2 (Penedo et al. 2025, arXiv 2506.20920) found for
Mandarin (configs/cmn_Hani.yml and fineweb-2-pipeline.py of its repository). They count words of
a segmenter; here every character stands alone, and 1.7 of them count as one word (jieba: 1.67 to
1.73 on reviews, documentation and poems), in text of both kinds, too; sizes of n-grams are 1.7
times as large. FineWeb2 does not look at short lines in Mandarin. Newlines a word are those of
English here, as translations have the same: its 0.178 drops two of three pages of Vue's manual.
"""

from typing import NamedTuple

REASONS = (
    "kept",
    "gopher.word_count",
    "gopher.word_length",
    "gopher.hash_ratio",
    "gopher.ellipsis_ratio",
    "gopher.bullet_lines",
    "gopher.ellipsis_lines",
    "gopher.alphabetic_words",
    "gopher.stop_words",
    "gopher.duplicate_paragraph_fraction",
    "gopher.duplicate_paragraph_characters",
    "gopher.duplicate_line_fraction",
    "gopher.duplicate_line_characters",
    "gopher.top_2_gram",
    "gopher.top_3_gram",
    "gopher.top_4_gram",
    "gopher.duplicate_5_gram",
    "gopher.duplicate_6_gram",
    "gopher.duplicate_7_gram",
    "gopher.duplicate_8_gram",
    "gopher.duplicate_9_gram",
    "gopher.duplicate_10_gram",
    "fineweb.line_end_ratio",
    "fineweb.short_line_ratio",
    "fineweb.duplicate_line_characters",
    "fineweb.newline_ratio",
)
KEPT = 0
TOP = REASONS.index("gopher.top_2_gram")
DUPLICATE = REASONS.index("gopher.duplicate_5_gram")
# From this share of the visible characters on, about half of the words are single characters, and
# the mean length of words would fall below what is asked of spaced text.
UNSPACED_SHARE = 0.15
# What to subtract for each character that is a word by itself, since 1.7 of them make a word.
EXCESS = 1 - 1 / 1.7


class Thresholds(NamedTuple):
    """The limits for a document; lengths in characters, shares from 0 to 1.

    Attributes:
        min_words, max_words: words with a letter or number, as weighed with EXCESS.
        min_word_length, max_word_length: their mean.
        symbol_ratio: `#`, or ellipses, per word, as weighed.
        bullet_lines, ellipsis_lines: share of lines that begin, or end, with one.
        letter_words: least share of words with a letter.
        paragraph_fraction, paragraph_characters, line_fraction, line_characters: greatest shares
            of paragraphs and lines, and of characters in those, that repeat an earlier one.
        gap: characters between two words of an n-gram.
        top_sizes, top_shares: words in an n-gram, and the share of the most frequent one.
        duplicate_sizes, duplicate_shares: the same for all n-grams that repeat an earlier one.
        line_ends: least share of lines that end as a sentence does.
        short_line, short_lines: the length of a short line, and the share of such lines.
        fineweb_line_characters: share of characters in repeated lines.
        newlines: newlines per word, as weighed.
    """

    min_words: int
    max_words: int
    min_word_length: float
    max_word_length: float
    symbol_ratio: float
    bullet_lines: float
    ellipsis_lines: float
    letter_words: float
    paragraph_fraction: float
    paragraph_characters: float
    line_fraction: float
    line_characters: float
    gap: int
    top_sizes: tuple[int, int, int]
    top_shares: tuple[float, float, float]
    duplicate_sizes: tuple[int, int, int, int, int, int]
    duplicate_shares: tuple[float, float, float, float, float, float]
    line_ends: float
    short_line: int
    short_lines: float
    fineweb_line_characters: float
    newlines: float


SPACED = Thresholds(
    min_words=50,
    max_words=100_000,
    min_word_length=3.0,
    max_word_length=10.0,
    symbol_ratio=0.1,
    bullet_lines=0.9,
    ellipsis_lines=0.3,
    letter_words=0.8,
    paragraph_fraction=0.3,
    paragraph_characters=0.2,
    line_fraction=0.3,
    line_characters=0.2,
    gap=1,
    top_sizes=(2, 3, 4),
    top_shares=(0.2, 0.18, 0.16),
    duplicate_sizes=(5, 6, 7, 8, 9, 10),
    duplicate_shares=(0.15, 0.14, 0.13, 0.12, 0.11, 0.10),
    line_ends=0.12,
    short_line=30,
    short_lines=0.67,
    fineweb_line_characters=0.01,
    newlines=0.3,
)
UNSPACED = SPACED._replace(
    min_word_length=1.0,
    max_word_length=5.0,
    letter_words=0.735,
    line_fraction=0.287,
    gap=0,
    top_sizes=(3, 5, 7),
    top_shares=(0.256, 0.201, 0.171),
    duplicate_sizes=(8, 10, 12, 14, 15, 17),
    duplicate_shares=(0.198, 0.182, 0.167, 0.154, 0.14, 0.127),
    line_ends=0.106,
    short_lines=1.0,
    fineweb_line_characters=0.1,
)
# Two different ones make a document (Rae et al. 2021); the Chinese ones are those of FineWeb2.
STOP_WORDS = (
    ("the", "be", "to", "of", "and", "that", "have", "with"),
    tuple("的年在月是和日了於于為为有被人中他與与後后也而由"),
)
# The languages of these stop words; texts in other languages are not tested for them.
STOP_WORD_LANGUAGES = ("en", "zh", "und")
