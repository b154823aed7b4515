"""Unicode in one form, and no characters that are not text."""

import re
import unicodedata
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingestion.blocks import Block
from tasks.ingestion.tally import Tally

# Those that part lines or pages become newlines; a zero-width joiner or space may be part of text.
_BREAKS = "\v\f\x85"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_CONTROL_RE2 = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{feff}]"


@dataclass(frozen=True)
class Normalisation:
    """NFC; no control characters but newline and tab, and no byte order marks."""

    name = "normalise"

    def __call__(self, block: Block, tally: Tally) -> Block:
        controls = pc.match_substring_regex(block.texts, _CONTROL_RE2)
        # ASCII is in NFC, and most text is ASCII or else in NFC already.
        doubtful = pc.or_(controls, pc.invert(pc.string_is_ascii(block.texts)))
        rows = pc.indices_nonzero(doubtful).to_pylist()
        changed: dict[int, str] = {}
        removed = composed = 0
        for row in rows:
            text = before = block.texts[row].as_py()
            if controls[row].as_py():
                text, count = _CONTROL.subn(_replacement, text)
                removed += count
            if not unicodedata.is_normalized("NFC", text):
                text = unicodedata.normalize("NFC", text)
                composed += 1
            if text != before:
                changed[row] = text
        tally.edit("normalise.control_characters", removed)
        tally.edit("normalise.nfc", composed)
        return replace_rows(block, changed)


def replace_rows(block: Block, changed: dict[int, str]) -> Block:
    """The block with these texts in these rows."""
    if not changed:
        return block
    mask = pa.array([row in changed for row in range(len(block))])
    texts = pa.array([changed[row] for row in sorted(changed)], pa.large_string())
    return block.with_texts(pc.replace_with_mask(block.texts, mask, texts))


def _replacement(match: re.Match[str]) -> str:
    return "\n" if match.group() in _BREAKS else ""
