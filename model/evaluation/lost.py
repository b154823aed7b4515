"""What a tokenizer does not give back of the texts that a model is judged by."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from model.tokenizer.panics import tokenizer_refused


def lost_bytes(tokenizer: Tokenizer, texts: Sequence[str], encoded: Sequence[np.ndarray]) -> int:
    """UTF-8 bytes of characters that do not come back when the ids of the texts are decoded.

    A character is lost as often as its text holds it more often than what comes back does: a
    capital that was lowered, a space that was swallowed, what the vocabulary has no token for.

    Args:
        encoded: ids of each text with the control tokens around it.
    """
    lost = 0
    with tokenizer_refused("decode its tokens"):
        backs = tokenizer.decode_batch([ids.tolist() for ids in encoded], skip_special_tokens=True)
    for text, back in zip(texts, backs, strict=True):
        if back != text:
            missing = Counter(text) - Counter(back)
            lost += sum(len(character.encode()) * n for character, n in missing.items())
    return lost
