"""Unicode normalisation, and removal of characters that are not text."""

import re
import unicodedata
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.stats import Stats

# Separators of lines and pages become newlines; a zero-width joiner or space may be part of text.
_BREAKS = "\v\f\x85"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_CONTROL_RE2 = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{feff}]"


@dataclass(frozen=True)
class Normalisation:
    """NFC; no control characters but newline and tab, and no byte order marks."""

    name = "normalise"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        controls = pc.match_substring_regex(batch.texts, _CONTROL_RE2)
        # ASCII is in NFC, and most text is ASCII or else in NFC already.
        doubtful = pc.or_(controls, pc.invert(pc.string_is_ascii(batch.texts)))
        rows = pc.indices_nonzero(doubtful).to_pylist()
        changed: dict[int, str] = {}
        removed = composed = 0
        for row in rows:
            text = before = batch.texts[row].as_py()
            if controls[row].as_py():
                text, count = _CONTROL.subn(_replacement, text)
                removed += count
            if not unicodedata.is_normalized("NFC", text):
                text = unicodedata.normalize("NFC", text)
                composed += 1
            if text != before:
                changed[row] = text
        stats.edit("normalise.control_characters", removed)
        stats.edit("normalise.nfc", composed)
        return replace_rows(batch, changed)


def replace_rows(batch: DocumentBatch, changed: dict[int, str]) -> DocumentBatch:
    """The batch with these texts in these rows."""
    if not changed:
        return batch
    mask = pa.array([row in changed for row in range(len(batch))])
    texts = pa.array([changed[row] for row in sorted(changed)], pa.large_string())
    return batch.with_texts(pc.replace_with_mask(batch.texts, mask, texts))


def _replacement(match: re.Match[str]) -> str:
    return "\n" if match.group() in _BREAKS else ""
