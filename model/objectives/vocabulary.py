"""What objectives need to know of a vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from corpusmill.model.tokenizer.control import (
    INFILLING,
    SENTINELS,
    control_ids,
    framing_of,
    read_roles,
)
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.errors import ConfigError

_SENTENCE_ENDS = frozenset(".!?。！？…")


@dataclass(frozen=True)
class Vocabulary:
    """Attributes:
    tokens: by id.
    opening, closing: ids around a text; opening is None where nothing stands before one.
    pad, mask: ids of control tokens; None where the tokenizer has no such role.
    ordinary: ids of all that is no control token; int64, rising.
    continues: bool (V,): whether a token goes on with the word of the token before it.
    ends_sentence: bool (V,).
    sentinels: ids of the tokens that stand for what was cut out of a text, in their order.
    infilling: ids of what stands before prefix, middle and suffix; none where there are none.
    """

    tokens: tuple[str, ...]
    opening: int | None
    closing: int
    pad: int | None
    mask: int | None
    ordinary: np.ndarray
    continues: np.ndarray
    ends_sentence: np.ndarray
    sentinels: tuple[int, ...] = ()
    infilling: tuple[int, ...] = ()

    def require(self, role: str) -> int:
        """The id of a role.

        Raises:
            ConfigError: the tokenizer has none.
        """
        found: int | None = getattr(self, role)
        if found is None:
            raise ConfigError(
                f"The tokenizer names no {role}_token, which this objective needs; train one with "
                "tokenizer.family of the model's family, or choose another model.architecture."
            )
        return found


def read_vocabulary(directory: Path) -> Vocabulary:
    """The vocabulary of a tokenizer folder.

    Raises:
        ModelError: there is no readable tokenizer, or none that closes documents.
    """
    tokenizer, roles = load_tokenizer(directory), read_roles(directory)
    size = tokenizer.get_vocab_size()
    tokens = tuple(tokenizer.id_to_token(number) or "" for number in range(size))
    before, closing = framing_of(tokenizer)
    control = control_ids(tokenizer)
    return Vocabulary(
        tokens=tokens,
        opening=before[0] if before else None,
        closing=closing,
        pad=tokenizer.token_to_id(roles.get("pad_token", "")),
        mask=tokenizer.token_to_id(roles.get("mask_token", "")),
        ordinary=np.array([number for number in range(size) if number not in control], np.int64),
        continues=_continues(tokens),
        ends_sentence=np.array([token.strip("Ġ▁") in _SENTENCE_ENDS for token in tokens]),
        sentinels=_present(tokenizer, SENTINELS),
        infilling=_present(tokenizer, INFILLING),
    )


def _present(tokenizer: Tokenizer, tokens: Sequence[str]) -> tuple[int, ...]:
    found = (tokenizer.token_to_id(token) for token in tokens)
    return tuple(number for number in found if number is not None)


def _continues(tokens: tuple[str, ...]) -> np.ndarray:
    """Of WordPiece `##` says so; of byte-level BPE and Unigram, that no space comes before."""
    if any(token.startswith("##") for token in tokens):
        return np.array([token.startswith("##") for token in tokens])
    starts = ("Ġ", "▁", "Ċ")
    return np.array([token[:1].isalnum() and not token.startswith(starts) for token in tokens])
