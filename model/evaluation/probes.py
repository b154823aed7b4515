"""Probes: which of several texts a decoder finds likeliest, as lm-evaluation-harness asks it.

A continuation is scored after its context: both are encoded as one text, and its tokens are those
behind as many as the context has alone, so that a token across the border counts as context.
Spaces at the end of a context belong to the continuation. After no context stands end-of-text, and
before a context nothing. Of what is longer than the model looks back on the end is read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from corpusmill.model.config import ProbeConfig, ProbeResult
from corpusmill.model.evaluation.intervals import wilson
from corpusmill.model.evaluation.probe_items import Item, read_items
from corpusmill.model.finite import finite_figures
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.network.config import IGNORED
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.storage import metrics
from corpusmill.storage.probes import Answers

_TOKENS_AT_ONCE = 8_192  # of a batch, with its padding


@dataclass(frozen=True)
class Request:
    """Attributes:
    ids: tokens of context and continuation, at least one of each.
    scored: of the continuation.
    """

    ids: list[int]
    scored: int


def ask(
    writer: Writer, probes: Sequence[ProbeConfig]
) -> tuple[tuple[ProbeResult, ...], dict[str, Answers]]:
    """How a model does on probes, and what of each was right.

    Raises:
        CorpusError: a file of a probe that cannot be read.
        ModelError: the model gives no finite numbers.
    """
    results, answers = [], {}
    for probe in probes:
        items = read_items(probe)
        options = [option for item in items for option in item.options]
        requests = encode_requests(writer, options)
        nats, greedy = score_requests(writer, requests)
        finite_figures({f"loss on {probe.name}": float(nats.sum())}, writer.model.precision)
        result, right = _judged(probe, items, nats, greedy)
        results.append(result)
        answers[probe.name] = Answers(tuple(item.digest for item in items), right)
    return tuple(results), answers


def encode_requests(writer: Writer, options: Sequence[tuple[str, str]]) -> list[Request]:
    """Contexts and continuations as tokens, as many as the model looks back on and one more."""
    moved = [_moved(*each) for each in options]
    whole = encode_texts(writer.tokenizer, [context + rest for context, rest in moved])
    contexts = encode_texts(writer.tokenizer, [context for context, _ in moved])
    end, requests = end_of_text_id(writer.tokenizer), list[Request]()
    for (context, _), ids, before in zip(moved, whole, contexts, strict=True):
        # What is one token with its context has at least that one, and something before it.
        scored = max(1, len(ids) - len(before))
        read = ids if context and len(ids) > 1 else [end, *(ids or [end])]
        read = read[-writer.sequence_length - 1 :]
        requests.append(Request(read, min(scored, len(read) - 1)))
    return requests


def _moved(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


@torch.inference_mode()
def score_requests(writer: Writer, requests: Sequence[Request]) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each continuation, float64 (requests,), and whether it is what greedy decoding
    writes, bool (requests,)."""
    nats, greedy = np.zeros(len(requests)), np.ones(len(requests), bool)
    order = sorted(range(len(requests)), key=lambda row: -len(requests[row].ids))
    first = 0
    while first < len(order):
        width = len(requests[order[first]].ids) - 1
        rows = order[first : first + max(1, _TOKENS_AT_ONCE // width)]
        first += len(rows)
        ids, targets = _padded([requests[row] for row in rows], width)
        device = next(writer.model.parameters()).device
        found = writer.model.answers(
            torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device)
        )
        nats_N, right_N = (each.cpu().numpy() for each in found)
        of = np.array(rows)[np.nonzero(targets != IGNORED)[0]]
        np.add.at(nats, of, nats_N.astype(np.float64))
        np.logical_and.at(greedy, of, right_N)
    return nats, greedy


def _padded(requests: Sequence[Request], width: int) -> tuple[np.ndarray, np.ndarray]:
    """What is read, and what is to be predicted, padded on the right; int64 (requests, width)."""
    shape = len(requests), width
    ids, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for row, each in enumerate(requests):
        end = len(each.ids) - 1
        ids[row, :end] = each.ids[:-1]
        targets[row, end - each.scored : end] = each.ids[-each.scored :]
    return ids, targets


def _judged(
    probe: ProbeConfig, items: Sequence[Item], nats: np.ndarray, greedy: np.ndarray
) -> tuple[ProbeResult, np.ndarray]:
    """The result, and which items are right, bool (items,)."""
    counts = [len(item.options) for item in items]
    beside: Mapping[str, float] = {}
    chance: float | None = None
    if probe.kind == "last_word":
        right = greedy
        beside = {metrics.PERPLEXITY: math.exp(min(float(nats.mean()), 700))}
    else:
        gold = np.array([item.gold for item in items])
        right = _likeliest(nats, counts) == gold
        chance = float(np.mean([1 / count for count in counts]))
        if probe.kind == "multiple_choice":
            sizes = np.array([size for item in items for size in item.sizes])
            by_byte = _likeliest(nats / sizes, counts) == gold
            beside = {metrics.ACCURACY_PER_BYTE: float(by_byte.mean())}
    low, high = wilson(int(right.sum()), len(items))
    result = ProbeResult(
        name=probe.name,
        kind=probe.kind,
        accuracy=float(right.mean()),
        low=low,
        high=high,
        items=len(items),
        chance=chance,
        beside=dict(beside),
    )
    return result, right


def _likeliest(nats: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The option of the least nats of each item, the first of equals; int64 (items,)."""
    parts = np.split(nats, np.cumsum(counts)[:-1])
    return np.array([int(each.argmin()) for each in parts])
