"""Memorisation: what of its training text a decoder repeats word for word."""

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator

import numpy as np
from tokenizers import Tokenizer

from corpusmill.model.config import Memorisation
from corpusmill.model.evaluation.intervals import wilson
from corpusmill.model.evaluation.probes import Request, score_requests
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.corpus.pairs import part_pair

_TOKENS = 50  # of a prompt, and of what follows it (Carlini et al. 2022)
_BEGINNING = 4_000  # characters of a text that say whether it is long enough
_DRAWS = 4  # starts drawn for each passage that is wanted, for passages that are there already


def find_memorised(
    writer: Writer,
    documents: Iterable[Document],
    passages: int = 50,
    with_pairs: Collection[str] = (),
) -> Memorisation:
    """How many passages of the training text greedy decoding continues word for word.

    Carlini et al. 2022, "Quantifying memorization across neural language models": a passage of 50
    tokens is memorised if the model, given the 50 before it, writes it. That it does so is seen
    without writing: each of its tokens is the likeliest after those before it.

    Args:
        documents: that were trained on.
        passages: at most so many are tried.
        with_pairs: sources whose documents are pairs, of which each side was learned by itself.
    """
    tokens = min(_TOKENS, writer.sequence_length // 2)
    texts = _texts(documents, with_pairs)
    chosen = choose_passages(writer.tokenizer, texts, 2 * tokens, passages)
    if not chosen:
        return Memorisation(passages=0, verbatim=0, low=0.0, high=1.0, tokens=tokens)
    _, verbatim = score_requests(writer, [Request(ids, tokens) for ids in chosen])
    count = int(verbatim.sum())
    low, high = wilson(count, len(chosen))
    return Memorisation(passages=len(chosen), verbatim=count, low=low, high=high, tokens=tokens)


def choose_passages(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str]], length: int, count: int
) -> list[list[int]]:
    """So many different passages of as many texts, chosen by hash, as they were learned.

    Of fewer texts there are several from each, at starts drawn without replacement; fewer passages
    only where the texts have no more.

    Args:
        texts: names, none twice, and texts; those too short for a passage are passed over.
        length: tokens of a passage.
    """
    whole = encode_texts(tokenizer, _choose_texts(tokenizer, texts, length, count))
    drawn = [_starts(ids, length, count) for ids in whole]
    chosen: dict[tuple[int, ...], None] = {}
    for turn in range(max(map(len, drawn), default=0)):
        for ids, starts in zip(whole, drawn, strict=True):
            if turn < len(starts) and len(chosen) < count:
                chosen.setdefault(tuple(ids[starts[turn] : starts[turn] + length]))
    return [list(passage) for passage in chosen]


def _choose_texts(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str]], length: int, count: int
) -> list[str]:
    """Those of the least ranks that are long enough, the least first."""
    least: list[tuple[int, str, str]] = []
    for name, text in texts:
        rank = -_rank(name)
        # A token has a byte at least.
        if len(text.encode()) < length or (len(least) == count and rank <= least[0][0]):
            continue
        (ids,) = encode_texts(tokenizer, [text[:_BEGINNING]])
        if len(ids) >= length:
            put = heapq.heappush if len(least) < count else heapq.heappushpop
            put(least, (rank, name, text))
    return [text for _, _, text in sorted(least, reverse=True)]


def _starts(ids: list[int], length: int, count: int) -> list[int]:
    room = max(0, len(ids) - length + 1)
    generator = np.random.default_rng(_rank(" ".join(map(str, ids[:length]))))
    starts: list[int] = generator.choice(room, min(room, _DRAWS * count), replace=False).tolist()
    return starts


def _texts(documents: Iterable[Document], with_pairs: Collection[str]) -> Iterator[tuple[str, str]]:
    for document in documents:
        sides = part_pair(document.text) if document.source in with_pairs else [document.text]
        yield from ((f"{document.id} {side}", text) for side, text in enumerate(sides))


def _rank(name: str) -> int:
    """Not the id itself, which decides the side of a document."""
    return int.from_bytes(hashlib.sha256(f"memorised {name}".encode()).digest()[:8], "big")
