"""Memorisation: what of its training text a decoder repeats word for word."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from corpusmill.model.config import Memorisation
from corpusmill.model.evaluation.intervals import wilson
from corpusmill.model.evaluation.probes import Request, score_requests
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.storage.corpus.documents import Document

_TOKENS = 50  # of a prompt, and of what follows it (Carlini et al. 2022)
_LEAST_BYTES = 400  # of a document from which a passage is taken
_WINDOW = 4_000  # characters around a passage


def find_memorised(
    writer: Writer, documents: Iterable[Document], passages: int = 50
) -> Memorisation:
    """How many passages of the training text greedy decoding continues word for word.

    Carlini et al. 2022, "Quantifying memorization across neural language models": a passage of 50
    tokens is memorised if the model, given the 50 before it, writes it. That it does so is seen
    without writing: each of its tokens is the likeliest after those before it.

    Args:
        documents: that were trained on.
        passages: at most so many are tried.
    """
    tokens = min(_TOKENS, writer.sequence_length // 2)
    windows = list(choose_windows(documents, passages))
    requests = [
        Request(ids[: 2 * tokens], tokens)
        for ids in encode_texts(writer.tokenizer, windows)
        if len(ids) >= 2 * tokens
    ]
    if not requests:
        return Memorisation(passages=0, verbatim=0, low=0.0, high=1.0, tokens=tokens)
    _, verbatim = score_requests(writer, requests)
    count = int(verbatim.sum())
    low, high = wilson(count, len(requests))
    return Memorisation(passages=len(requests), verbatim=count, low=low, high=high, tokens=tokens)


def choose_windows(documents: Iterable[Document], count: int) -> Iterator[str]:
    """Text from which a passage is taken, of as many documents, chosen by hash.

    Of fewer documents there are several from each, at places that hashes choose.
    """
    long = (each for each in documents if len(each.text.encode()) >= _LEAST_BYTES)
    chosen = heapq.nsmallest(count, long, key=lambda each: _rank(each.id))
    for number in range(count if chosen else 0):
        text = chosen[number % len(chosen)].text
        room = max(1, len(text) - _LEAST_BYTES)
        start = _rank(f"{chosen[number % len(chosen)].id} {number // len(chosen)}") % room
        yield text[start : start + _WINDOW]


def _rank(name: str) -> int:
    """Not the id itself, which decides the side of a document."""
    return int.from_bytes(hashlib.sha256(f"memorised {name}".encode()).digest()[:8], "big")
