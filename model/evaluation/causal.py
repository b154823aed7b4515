"""Scoring held-out documents with a sliding window, and continuing them."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from corpusmill.model.config import EvaluationConfig, EvaluationResult, Sample
from corpusmill.model.evaluation.blocks import BlockSums
from corpusmill.model.evaluation.passages import passage
from corpusmill.model.finite import finite_figures
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.network.config import IGNORED
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.encoding import encode_documents
from corpusmill.model.tokenizer.lost import lost_bytes
from corpusmill.storage import metrics
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document

Window = tuple[np.ndarray, np.ndarray]
_TOKENS_AT_ONCE = 32_768  # of a batch, so that of long windows there are few


def score_causal(
    writer: Writer, held_out: Sequence[Document], config: EvaluationConfig
) -> tuple[EvaluationResult, Blocks]:
    """Figures over held-out documents, each scored from its first byte, and bits of their blocks.

    bits_per_byte: -log₂ p of the tokens, and 8 bits for each byte that they do not give back, over
        the bytes of the texts: what it takes to write them down, all told.
    lost_bytes: how many bytes that are (see `lost_bytes`).
    """
    begun = time.perf_counter()
    sequence_length = writer.sequence_length
    stride = min(config.stride or max(1, sequence_length // 2), sequence_length)
    texts = [document.text for document in held_out]
    encoded = list(encode_documents(writer.tokenizer, texts))
    # What closes a document is not scored.
    sums, tokens = BlockSums(held_out, [len(ids) - 1 for ids in encoded], values=1), 0
    windows = _windows(encoded, end_of_text_id(writer.tokenizer), sequence_length, stride)
    for batch in _batches(windows, config.batch_size):
        nats_N = _score(writer.model, batch)
        sums.add(tokens + np.arange(len(nats_N)), nats_N)
        tokens += len(nats_N)
    nats = float(sums.values.sum())
    size = sum(len(text.encode()) for text in texts)
    lost = lost_bytes(writer.tokenizer, texts, encoded)
    figures = {
        metrics.BITS_PER_BYTE: (nats / math.log(2) + 8 * int(lost.sum())) / size,
        metrics.PERPLEXITY: math.exp(min(nats / tokens, 700)),
        metrics.LOSS: nats / tokens,
        metrics.LOST_BYTES: int(lost.sum()),
    }
    bits = sums.values / math.log(2) + 8 * sums.spread(lost)[:, None]
    result = EvaluationResult(
        family="causal_lm",
        documents=len(texts),
        bytes=size,
        predictions=tokens,
        figures=finite_figures(figures, writer.model.precision),
        decides=metrics.BITS_PER_BYTE,
        samples=tuple(_samples(writer, texts, config)),
        precision=writer.model.precision,
        seconds=time.perf_counter() - begun,
    )
    return result, sums.blocks(bits)


def _windows(
    encoded: Iterable[np.ndarray], end: int, sequence_length: int, stride: int
) -> Iterator[Window]:
    """(ids, targets) of up to `sequence_length`; each token of a document is a target once.

    The end-of-text token stands before a document, so that its first token is predicted too, and
    is itself not scored: it has no bytes.
    """
    for ids in encoded:
        tokens = np.concatenate([[end], ids[:-1]]).astype(np.int64)
        scored = 0
        while scored < len(tokens) - 1:
            stop = min(sequence_length if scored == 0 else scored + stride, len(tokens) - 1)
            start = max(0, stop - sequence_length)
            targets = tokens[start + 1 : stop + 1].copy()
            targets[: scored - start] = IGNORED
            yield tokens[start:stop], targets
            scored = stop


def _batches(windows: Iterator[Window], size: int) -> Iterator[list[Window]]:
    """Up to `size` windows at a time."""
    batch, width = list[Window](), 0
    for window in windows:
        wider = max(width, len(window[0]))
        if batch and (len(batch) == size or wider * (len(batch) + 1) > _TOKENS_AT_ONCE):
            yield batch
            batch, wider = [], len(window[0])
        batch.append(window)
        width = wider
    if batch:
        yield batch


@torch.no_grad()
def _score(model: CausalNetwork, batch: list[Window]) -> np.ndarray:
    """Nats of each target of a batch of windows, padded on the right, where nothing looks.

    fp32 (targets,), in the order of the windows.
    """
    shape = len(batch), max(len(window) for window, _ in batch)
    ids, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for row, (window, wanted) in enumerate(batch):
        ids[row, : len(window)] = window
        targets[row, : len(wanted)] = wanted
    device = next(model.parameters()).device
    nats_BT = model.nats(torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device))
    nats_N: np.ndarray = nats_BT.cpu().numpy()[targets != IGNORED]
    return nats_N


def _samples(writer: Writer, texts: list[str], config: EvaluationConfig) -> Iterator[Sample]:
    """Continues passages from the middle of documents spread over the held-out ones."""
    count = min(config.samples, len(texts))
    chosen = [texts[number * len(texts) // count] for number in range(count)]
    prompts = [passage(text, config.prompt_characters) for text in chosen]
    if not prompts:
        return
    written = writer.continue_texts(prompts, max_new_tokens=config.sample_tokens, sampling=config)
    for prompt, continuation in zip(prompts, written, strict=True):
        yield Sample(prompt=prompt, continuation=continuation)
