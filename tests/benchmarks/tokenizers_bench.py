"""Tokenizers beside their peers, in one run: learning 32 k merges, and encoding.

`python -m tests.benchmarks.tokenizers_bench FOLDER [MEGABYTES]` prints JSON; FOLDER holds the real
text that tests.benchmarks.text reads. Text repeated verbatim is learned from and encoded faster
than real text by everybody here (each word is met before), so that the same text goes to all of
them, and what is made by edits comes after all that is real.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import tiktoken
from tokenizers import Tokenizer

from corpusmill.model.tokenizer.bpe import PATTERN, SYMBOLS, train_bpe, train_by_tokenizers
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT
from corpusmill.model.tokenizer.encoding import Encoder
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from tests.benchmarks.text import documents

T = TypeVar("T")

VOCAB_SIZE = 32_000
REPEATS = 5
_BATCH = 256


def bench_training(texts: Sequence[str], held_out: Sequence[str]) -> dict[str, Any]:
    """Seconds to learn 32 k tokens, and bytes per token on text that was not learned from.

    Ours goes before and after the peer, so that a machine that others use too is seen to be one.
    """
    control = [END_OF_TEXT]
    (ours, engine), before = _timed(lambda: train_bpe(texts, VOCAB_SIZE, control))
    theirs, peer = _timed(lambda: train_by_tokenizers(texts, VOCAB_SIZE, control))
    _, after = _timed(lambda: train_bpe(texts, VOCAB_SIZE, control))
    rates = [_utf8(held_out) / _count(each, held_out) for each in (ours, theirs)]
    return {
        "megabytes": _utf8(texts) / 1e6,
        "engine": engine,
        "seconds": [before, after],
        "tokenizers_seconds": peer,
        "times_faster": _ratios(peer, before, after, "wall"),
        "times_less_processor_time": _ratios(peer, before, after, "processor"),
        "bytes_per_token": rates[0],
        "tokenizers_bytes_per_token": rates[1],
        "bytes_per_token_ratio": rates[0] / rates[1],
    }


def bench_encoding(texts: Sequence[str], directory: Path) -> dict[str, Any]:
    """Millions of tokens a second on all processors, alternating; ids are compared with each other.

    Args:
        directory: a tokenizer folder of the causal_lm family.
    """
    threads = len(os.sched_getaffinity(0))
    encoder, reference = Encoder(directory, threads), load_tokenizer(directory)
    ranked = _as_tiktoken(reference)
    arrow = pa.array(texts, pa.large_string())

    def ours() -> np.ndarray:
        parts = [encoder.encode(arrow[at : at + 2048])[0] for at in range(0, len(arrow), 2048)]
        ids = np.concatenate(parts)
        without_ends: np.ndarray = ids[ids != encoder.closing]
        return without_ends

    def by_tokenizers() -> np.ndarray:
        parts = []
        for at in range(0, len(texts), _BATCH):
            batch = reference.encode_batch_fast(texts[at : at + _BATCH], add_special_tokens=False)
            parts += [np.array(encoding.ids, np.uint32) for encoding in batch]
        return np.concatenate(parts)

    def by_tiktoken() -> np.ndarray:
        listed = ranked.encode_ordinary_batch(list(texts), num_threads=threads)
        return np.concatenate([np.array(ids, np.uint32) for ids in listed])

    peers = {"ours": ours, "tokenizers": by_tokenizers, "tiktoken": by_tiktoken}
    rates, ids = _alternate(peers)
    return {
        "engine": encoder.engine,
        "engine_note": encoder.engine_note,
        "threads": threads,
        "tokens": len(ids["ours"]),
        "million_tokens_per_second": {name: _spread(values) for name, values in rates.items()},
        "times_tokenizers": _spread(
            [mine / theirs for mine, theirs in zip(rates["ours"], rates["tokenizers"], strict=True)]
        ),
        "same_ids": {name: bool(np.array_equal(ids["ours"], found)) for name, found in ids.items()},
    }


def _timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
    }


def _ratios(
    peer: dict[str, float], before: dict[str, float], after: dict[str, float], clock: str
) -> dict[str, float]:
    return _spread([peer[clock] / ours[clock] for ours in (before, after)])


def _alternate(
    peers: dict[str, Callable[[], np.ndarray]],
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    rates: dict[str, list[float]] = {name: [] for name in peers}
    ids = {name: encode() for name, encode in peers.items()}
    for _ in range(REPEATS):
        for name, encode in peers.items():
            begun = time.perf_counter()
            tokens = len(encode())
            rates[name].append(tokens / (time.perf_counter() - begun) / 1e6)
    return rates, ids


def _as_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """The same vocabulary and ids as ranks of byte strings."""
    byte_of = {symbol: byte for byte, symbol in SYMBOLS.items()}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    end = vocabulary.pop(END_OF_TEXT)
    ranks = {bytes(map(byte_of.__getitem__, token)): rank for token, rank in vocabulary.items()}
    return tiktoken.Encoding(
        "same", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: end}
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "lowest": min(values), "highest": max(values)}


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts)))


def _utf8(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def main(folder: Path, megabytes: float) -> None:
    """Prints what both benchmarks measure."""
    texts = list(documents(folder, int(megabytes * 1e6)))
    # Every 20th of the real documents, which come first, is kept from learning.
    held_out, learned = texts[::20], [text for at, text in enumerate(texts) if at % 20]
    result = {"training": bench_training(learned, held_out)}
    with TemporaryDirectory() as temporary:
        train_tokenizer(
            islice(learned, 5000), TokenizerConfig(vocab_size=VOCAB_SIZE), Path(temporary)
        )
        result["encoding"] = bench_encoding(texts[: len(texts) // 5], Path(temporary))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 100.0)
