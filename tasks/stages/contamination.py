"""Contamination: how much of what a model is judged by stands in what it was trained on.

As GPT-3 was examined (Brown et al. 2020, appendix C): what shares a run of 13 words with the
training text is contaminated. Words are runs of letters, their marks, and digits, in NFC and lower
case; where a script sets no spaces between them, each character is one, and a run has 22 of them,
as for the filter of `corpusmill.tasks.ingestion.cleaning.contamination`. Of what is shorter, as
most items of probes are, runs of 8 words (14 characters) are looked for; of what is shorter than
that nothing can be said.
"""

import json
import logging
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import xxhash

from corpusmill.model.config import EvaluationConfig
from corpusmill.model.evaluation.probe_items import probe_identity, read_items
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.layout import Layout
from corpusmill.storage.scripts import WITHOUT_SPACES, character_class
from corpusmill.tasks.ingestion.cleaning.phrases import LONGER
from corpusmill.tasks.ingestion.cleaning.thresholds import UNSPACED_SHARE

LONG, SHORT = 13, 8
# The same of a script without spaces, in characters.
LONG_UNSPACED, SHORT_UNSPACED = round(LONGER * LONG), math.ceil(LONGER * SHORT)
LENGTHS = LONG, SHORT, LONG_UNSPACED, SHORT_UNSPACED
HELD_OUT = "held-out text"
FORMAT_VERSION = 2
_LOGGER = logging.getLogger(__name__)
_ALONE = character_class(WITHOUT_SPACES)
_IS_ALONE = re.compile(rf"[{_ALONE}]")
_ASCII_WORD = re.compile(r"[^\W_]+")
_JOINERS = "\u200c\u200d"  # within words of Persian and of Indian scripts
_BASE = np.uint64(0x9E3779B97F4A7C15)
_KNOWN_WORDS = 1 << 20  # whose hashes are kept
_PIECE = 1 << 20  # characters of a document at once


@dataclass(frozen=True)
class Contamination:
    """How much of an evaluation set stands in the training text.

    Attributes:
        name: of the probe, or "held-out text".
        texts: documents or items that are long enough to tell.
        contaminated: of these, with a run of words that stands in the training text.
        too_short: documents or items of fewer than 8 words (14 characters).
        runs: of words, in all these texts.
        shared: of these, that stand in the training text.
    """

    name: str
    texts: int
    contaminated: int
    too_short: int
    runs: int
    shared: int

    @property
    def share(self) -> float | None:
        """Of the texts that are long enough; None where none is."""
        return self.contaminated / self.texts if self.texts else None

    @property
    def in_words(self) -> str:
        """How many there are of how many."""
        if not self.texts:
            return f"none of {self.name} long enough ({self.too_short:,} too short)"
        return f"{self.contaminated:,} of {self.texts:,} of {self.name}"


def find_contamination(
    layout: Layout, trained_on: Ref, held_out: Ref, config: EvaluationConfig
) -> list[Contamination]:
    """Contamination of the held-out text and of each probe, by one pass over the training text.

    What was found for the same texts is reused.

    Args:
        trained_on: a corpus, such as a night's: old text was looked through in its own night.
        held_out: what is judged by.

    Raises:
        CorpusError: a file of a probe that cannot be read.
    """

    def write(directory: Path) -> None:
        sets = {HELD_OUT: [each.text for each in read_documents(held_out.path, "validation")]}
        for probe in config.probes:
            # The right answer is what must not be known; a context alone tells nothing.
            options = (item.options[item.gold] for item in read_items(probe))
            sets[probe.name] = [context + continuation for context, continuation in options]
        texts = (each.text for each in read_documents(trained_on.path, "train"))
        found = [asdict(each) for each in contamination_of(sets, texts)]
        (directory / "result.json").write_text(json.dumps(found), encoding="utf-8")

    inputs = {"trained_on": trained_on.digest, "held_out": held_out.digest}
    probes = [probe_identity(each) for each in config.probes]
    decides = {"probes": probes, "unicode": unicodedata.unidata_version}
    spec = Spec("contamination", FORMAT_VERSION, inputs, decides)
    ref, reused = obtain(layout, spec, write)
    rows = json.loads((ref.path / "result.json").read_text(encoding="utf-8"))
    results = [Contamination(**row) for row in rows]
    _LOGGER.info(
        "contamination: a run of words in common with the training text: %s%s",
        ", ".join(each.in_words for each in results),
        " - reused" if reused else "",
    )
    return results


def contamination_of(
    sets: dict[str, list[str]], training: Iterable[str]
) -> Iterator[Contamination]:
    """What of each set of texts stands in the training texts, which are read once.

    Memory is that of the runs of the sets, 17 bytes each, and of a million words.
    """
    hashes = WordHashes()
    runs = {name: [_runs_of(hashes, text) for text in texts] for name, texts in sets.items()}
    wanted = {
        length: np.unique(
            np.concatenate(
                [np.empty(0, np.uint64)]
                + [each for some in runs.values() for size, each in some if size == length]
            )
        )
        for length in LENGTHS
    }
    seen = {length: np.zeros(len(each), bool) for length, each in wanted.items()}
    for text in training:
        for words in hashes.pieces(text):
            for length, each in wanted.items():
                if len(each):
                    _mark(seen[length], each, run_hashes(words, length))
    for name, some in runs.items():
        hits = [seen[size][np.searchsorted(wanted[size], each)] for size, each in some if len(each)]
        yield Contamination(
            name=name,
            texts=len(hits),
            contaminated=sum(bool(each.any()) for each in hits),
            too_short=len(some) - len(hits),
            runs=sum(map(len, hits)),
            shared=sum(int(each.sum()) for each in hits),
        )


class WordHashes:
    """Words of texts as numbers, the same for the same word."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, text: str) -> np.ndarray:
        """The words of a text; uint64 (words,)."""
        known, found = self._known, []
        # Without marks it takes a fifth of the time.
        pattern = _ASCII_WORD if text.isascii() else _words()
        for word in pattern.findall(unicodedata.normalize("NFC", text).lower()):
            number = known.get(word)
            if number is None:
                if len(known) >= _KNOWN_WORDS:
                    known.clear()
                number = known[word] = xxhash.xxh3_64_intdigest(word.encode())
            found.append(number)
        return np.array(found, np.uint64)

    def pieces(self, text: str) -> Iterator[np.ndarray]:
        """The words of a text in pieces that no run of words is lost between."""
        carried = np.empty(0, np.uint64)
        for piece in _pieces(text):
            words = np.concatenate([carried, self.of(piece)])
            yield words
            carried = words[max(0, len(words) - max(LENGTHS) + 1) :]


def run_hashes(words: np.ndarray, length: int) -> np.ndarray:
    """A number of each run of so many words; uint64 (max(0, words - length + 1),)."""
    count = max(0, len(words) - length + 1)
    total = np.zeros(count, np.uint64)
    for place in range(length):
        total = total * _BASE + words[place : place + count]
    return total


@cache
def _words() -> re.Pattern[str]:
    """A character of a script without spaces, or a letter or digit and what goes on with it."""
    codes = range(0x300, sys.maxunicode)
    marks = "".join(chr(code) for code in codes if unicodedata.category(chr(code))[0] == "M")
    # `\w` alone ends at a mark, as there is one within most words of Hindi.
    letters = rf"[^\W_{_ALONE}]"
    return re.compile(rf"[{_ALONE}]|{letters}+(?:[{marks}{_JOINERS}]+{letters}*)*")


def _pieces(text: str) -> Iterator[str]:
    """Parts of a text that end where a word ends."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            space = re.compile(r"\s").search(text, end)
            end = space.end() if space else len(text)
        yield text[start:end]
        start = end


def _runs_of(hashes: WordHashes, text: str) -> tuple[int, np.ndarray]:
    """How long the runs are that are looked for, and these; none where it is too short."""
    words = hashes.of(text)
    alone, visible = len(_IS_ALONE.findall(text)), sum(map(len, text.split()))
    unspaced = alone >= UNSPACED_SHARE * max(1, visible)
    long, short = (LONG_UNSPACED, SHORT_UNSPACED) if unspaced else (LONG, SHORT)
    length = long if len(words) >= long else short
    return length, run_hashes(words, length)


def _mark(seen: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> None:
    """Sets which of the wanted numbers, sorted, are among those found."""
    places = np.searchsorted(wanted, found)
    places[places == len(wanted)] = 0
    seen[places[wanted[places] == found]] = True
