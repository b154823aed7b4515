"""What encodes: Hugging Face `tokenizers`, which says what is right, and `fastokens`, the faster.

`fastokens` is young: it is taken only where it gives the same ids.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from corpusmill.model.tokenizer.folder import TOKENIZER
from corpusmill.model.tokenizer.panics import first_line, panics_as_errors, tokenizer_refused
from corpusmill.model.tokenizer.runs import ENCODED, cut_runs

_BATCH = 256
Flat = tuple[np.ndarray, np.ndarray]


class Engine(Protocol):
    """Encodes texts into flat ids, none of them a control token."""

    name: str

    def encode(self, texts: list[str]) -> Flat:
        """Ids, uint32 (tokens,), and where each text ends in them, int64 (texts,)."""
        ...


class Reference:
    """Hugging Face `tokenizers`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.name = f"tokenizers {version('tokenizers')}"
        self._tokenizer = tokenizer

    def encode(self, texts: list[str]) -> Flat:
        """As `Engine.encode`; raises ModelError where a text is too much for the tokenizer."""
        parts = [np.empty(0, np.uint32)]
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            with tokenizer_refused("encode a text"):
                encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            parts += [np.array(encoding.ids, np.uint32) for encoding in encodings]
        lengths = [len(part) for part in parts[1:]]
        return np.concatenate(parts), np.cumsum(lengths, dtype=np.int64)


class Fastokens:
    """`fastokens`, from the same tokenizer.json."""

    def __init__(self, directory: Path) -> None:
        """Raises ImportError where it is missing, and anything where it refuses the tokenizer."""
        import fastokens

        self.name = f"fastokens {version('fastokens')}"
        with panics_as_errors():
            self._tokenizer = fastokens.Tokenizer.from_file(str(directory / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: list[str]) -> Flat:
        """As `Engine.encode`; raises anything."""
        with panics_as_errors():
            ids, offsets = self._tokenizer.encode_batch_flat(
                texts, add_special_tokens=False, split_special_tokens=True
            )
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.int64)[1:]


def encode_bounded(engine: Engine, texts: list[str]) -> Flat:
    """As `Engine.encode`, of texts whose runs without end are cut beforehand."""
    if all(len(text) < ENCODED for text in texts):
        return engine.encode(texts)
    parts = [cut_runs(text, ENCODED) for text in texts]
    ids, ends = engine.encode([part for each in parts for part in each])
    return ids, ends[np.cumsum([len(each) for each in parts]) - 1]


def choose_engine(directory: Path, reference: Engine, probes: list[str]) -> tuple[Engine, str]:
    """`fastokens` where it gives the ids of the reference for all probes; else that, and why."""
    try:
        fast = Fastokens(directory)
    except ImportError:
        return reference, "fastokens is not installed"
    except Exception as error:
        return reference, f"fastokens refuses this tokenizer ({first_line(error)})"
    fault = find_fault(fast, reference, probes)
    return (reference, fault) if fault else (fast, "")


def find_fault(engine: Engine, reference: Engine, texts: list[str]) -> str:
    """Where an engine differs from the reference on these texts, in words; empty where nowhere."""
    try:
        ids, ends = engine.encode(texts)
    except Exception as error:
        return f"{engine.name} failed on a text ({first_line(error)})"
    right, right_ends = reference.encode(texts)
    if np.array_equal(ids, right) and np.array_equal(ends, right_ends):
        return ""
    found, wanted = np.split(ids, ends[:-1]), np.split(right, right_ends[:-1])
    pairs = zip(texts, found, wanted, strict=True)
    differing = (text for text, mine, theirs in pairs if not np.array_equal(mine, theirs))
    return f"{engine.name} gives other ids for {next(differing)[:40]!r}"
