"""The rules of C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2): lines, then pages.

In Chinese, a line must end with 。！？…： or a closing quote and have at least five characters, as
in the Chinese variant of C4 by shjwudp (github.com/shjwudp/c4-dataset-script). Sentence ends of
other languages end a line, too; in scripts without spaces every character is a word; and the
paper's phrases about policies and citations are looked for in Chinese as well.
"""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.corpus.texts import offsets_of
from corpusmill.storage.scripts import WITHOUT_SPACES, character_class
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.characters import SENTENCE_ENDS
from corpusmill.tasks.ingestion.stats import Stats

_MIN_SENTENCES = 5
# A line needs three words, or five characters that are words, or a mixture: 3 * 5 = 5 * 3 = 15.
_SHARE_OF_WORD, _SHARE_OF_CHARACTER, _LEAST = 5, 3, 15
_PAGES = {"c4.lorem_ipsum": r"(?i)lorem ipsum", "c4.curly_bracket": r"\{"}
# From the paper; policies and words of 1,000 characters, from the code that made the corpus.
_LINES = {
    "c4.javascript": r"(?i)javascript",
    "c4.policy": "(?i)terms of use|privacy policy|cookie policy|uses cookies|use of cookies"
    "|use cookies|使用条款|使用條款|隐私政策|隱私政策|隐私权政策|隱私權政策",
}
_LONG_RUN = r"\S{1000}\S"
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]|\[编辑\]|\[編輯\]|\[来源请求\]|\[來源請求\]"
_END = rf"""(?:[{SENTENCE_ENDS}"'”’…：」』])\s*$"""
_ELLIPSIS = r"\.\.\.\s*$"
_UNSPACED = character_class(WITHOUT_SPACES)
_LONG_WORD = re.compile(rf"[^\s{_UNSPACED}]{{1001}}")
_CHARACTER, _WORD = rf"[{_UNSPACED}]", rf"[^\s{_UNSPACED}]+"
_NOTHING, _NEWLINE = pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
_SENTENCE = rf"""[.?!]+["'”’)\]]*(?:\s|$)|[{SENTENCE_ENDS.strip(".?!")}…]+"""


@dataclass(frozen=True)
class C4QualityFilter:
    """Removes lines that are not sentences, and drops pages with fewer than five sentences."""

    name = "c4"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        for reason, pattern in _PAGES.items():
            out = pc.match_substring_regex(batch.texts, pattern)
            batch = stats.drop(batch, out.to_numpy(zero_copy_only=False), reason)
        pages = pc.split_pattern(batch.texts, "\n")
        lines, counts = pages.flatten(), pc.list_value_length(pages).to_numpy()
        keep = np.ones(len(lines), bool)
        _remove(keep, _with_long_word(lines), "c4.long_word", stats)
        for name, pattern in _LINES.items():
            _remove(keep, pc.match_substring_regex(lines, pattern), name, stats)
        stats.edit("c4.citation", pc.sum(pc.count_substring_regex(lines, _CITATION)).as_py() or 0)
        lines = pc.replace_substring_regex(lines, _CITATION, "")
        ends = pc.match_substring_regex(lines, _END)
        unended = pc.or_(pc.invert(ends), pc.match_substring_regex(lines, _ELLIPSIS))
        blank = pc.equal(pc.binary_length(pc.utf8_ltrim_whitespace(lines)), 0)
        _remove(keep, pc.and_not(unended, blank), "c4.line_without_end", stats)
        _remove(keep, _short(lines), "c4.short_line", stats)
        keep &= ~blank.to_numpy(zero_copy_only=False)
        return _join(batch, lines, counts, keep, stats)


def _remove(keep: np.ndarray, out: pa.BooleanArray, name: str, stats: Stats) -> None:
    removed = keep & out.to_numpy(zero_copy_only=False)
    stats.edit(name, int(removed.sum()))
    keep &= ~removed


def _with_long_word(lines: pa.LargeStringArray) -> pa.BooleanArray:
    runs = pc.match_substring_regex(lines, _LONG_RUN)
    # A run is rare in spaced text, but in Chinese every long paragraph is one.
    long = [bool(_LONG_WORD.search(line)) for line in lines.filter(runs).to_pylist()]
    return pc.replace_with_mask(runs, runs, pa.array(long, pa.bool_()))


def _short(lines: pa.LargeStringArray) -> pa.BooleanArray:
    amount = pc.multiply(pc.count_substring_regex(lines, _WORD), _SHARE_OF_WORD)
    # Nearly all lines of most spaced text are ASCII, and have no such characters.
    others = pc.invert(pc.string_is_ascii(lines))
    characters = pc.count_substring_regex(lines.filter(others), _CHARACTER)
    more = pc.add(amount.filter(others), pc.multiply(characters, _SHARE_OF_CHARACTER))
    amount = pc.replace_with_mask(amount, others, more)
    return pc.and_(pc.less(amount, _LEAST), pc.greater(amount, 0))


def _join(
    batch: DocumentBatch,
    lines: pa.LargeStringArray,
    counts: np.ndarray,
    keep: np.ndarray,
    stats: Stats,
) -> DocumentBatch:
    page = np.repeat(np.arange(len(counts)), counts)[keep]
    lines = lines.filter(pa.array(keep))
    sentences = pc.count_substring_regex(lines, _SENTENCE).to_numpy()
    few = np.bincount(page, sentences, minlength=len(counts)) < _MIN_SENTENCES
    last = np.append(page[1:] != page[:-1], True)[: len(page)]
    parted = pc.binary_join_element_wise(
        lines, pc.if_else(pa.array(last), _NOTHING, _NEWLINE), _NOTHING
    )
    # The lines are contiguous in memory: the pages are the same bytes with other offsets.
    first_lines = np.concatenate([[0], np.cumsum(np.bincount(page, minlength=len(counts)))])
    offsets = pa.py_buffer(offsets_of(parted)[first_lines])
    pages = pa.LargeStringArray.from_buffers(len(counts), offsets, parted.buffers()[2])
    # Dropped documents are counted and sampled as they came, the others as they are now.
    kept = stats.drop(batch, few, "c4.few_sentences")
    return kept.with_texts(pages.filter(pa.array(~few)))
