"""What a tokenizer does not give back of a text."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from corpusmill.model.tokenizer.panics import tokenizer_refused

_BLOCK = 1 << 12  # bytes compared at once: the time they take grows with their square


def lost_bytes(
    tokenizer: Tokenizer, texts: Sequence[str], encoded: Sequence[np.ndarray]
) -> np.ndarray:
    """UTF-8 bytes of characters that do not come back when the ids of the texts are decoded.

    A character comes back where it belongs or not at all: a capital that was lowered, a space that
    was swallowed (and one elsewhere that was not there before is none for it), what the vocabulary
    has no token for.

    Args:
        encoded: ids of each text with the control tokens around it.

    Returns:
        Of each text; int64 (texts,).
    """
    with tokenizer_refused("decode its tokens"):
        backs = tokenizer.decode_batch([ids.tolist() for ids in encoded], skip_special_tokens=True)
    return np.array([_deleted(*pair) for pair in zip(texts, backs, strict=True)], np.int64)


def _deleted(text: str, back: str) -> int:
    """Bytes of `text` that an edit into `back` deletes, block by block the cheapest one."""
    if text == back:
        return 0
    # A character as often as it has bytes: what is counted is then what is compared.
    wide, wide_back = (
        "".join(character * len(character.encode()) for character in each) for each in (text, back)
    )
    deleted = reached = 0
    for first in range(0, len(wide), _BLOCK):
        block = wide[first : first + _BLOCK]
        ahead = wide_back[reached : reached + 2 * _BLOCK]
        if ahead.startswith(block):
            reached += len(block)
            continue
        kept = _kept(block, ahead)
        used = len(ahead)
        if first + _BLOCK < len(wide):
            # As far as brings more than it passes over; what is behind is for the next block.
            used -= int(np.argmax((2 * kept - np.arange(len(kept)))[::-1]))
        deleted += len(block) - int(kept[used])
        reached += used
    return deleted


def _kept(block: str, ahead: str) -> np.ndarray:
    """Length of the longest common subsequence with each beginning of `ahead`, the empty one first.

    Hyyrö 2004, bit-parallel; int64 (len(ahead) + 1,).
    """
    places: dict[str, int] = {}
    for place, character in enumerate(ahead):
        places[character] = places.get(character, 0) | 1 << place
    everywhere = (1 << len(ahead)) - 1
    unmatched = everywhere
    for character in block:
        found = unmatched & places.get(character, 0)
        unmatched = (unmatched + found | unmatched - found) & everywhere
    bits = np.frombuffer(unmatched.to_bytes(len(ahead) // 8 + 1, "little"), np.uint8)
    matched = 1 - np.unpackbits(bits, count=len(ahead), bitorder="little").astype(np.int64)
    return np.concatenate([[0], np.cumsum(matched)])
