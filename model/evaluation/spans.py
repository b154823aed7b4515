"""How well an encoder-decoder writes what was cut out of held-out documents."""

import math
import time
from collections.abc import Iterator

import numpy as np
import torch

from corpusmill.model.config import EvaluationConfig, EvaluationResult, Sample
from corpusmill.model.data.batches import PairBatch
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.finite import finite_figures
from corpusmill.model.inference.generation import gather, write
from corpusmill.model.inference.loading import Loaded
from corpusmill.model.network.config import IGNORED
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.objectives.config import SpanCorruption
from corpusmill.model.objectives.spans import CorruptedRows, fitting_length
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tokenizer.encoding import decode, encode_documents
from corpusmill.model.tokenizer.lost import lost_bytes
from corpusmill.storage import metrics
from corpusmill.storage.shards.reading import ArrayStream


def score_spans(
    loaded: Loaded, network: EncoderDecoder, texts: list[str], config: EvaluationConfig
) -> EvaluationResult:
    """Figures over held-out documents, in pieces as long as the network has learned to read.

    Where the tokenizer has too few sentinels for such a piece they are shorter.

    span_perplexity: exponential of the mean loss of a token of what was cut out, its sentinels
        among them.
    span_accuracy: share of these tokens that the network thinks likeliest, the ones before them
        given.
    lost_bytes: of the texts that their tokens do not give back; as in `score_masked` they cost
        nothing.
    """
    begun = time.perf_counter()
    vocabulary = read_vocabulary(loaded.directory)
    encoded = list(encode_documents(loaded.tokenizer, texts))
    stream = ArrayStream(np.concatenate(encoded))
    objective = SpanCorruption()
    length = fitting_length(loaded.sequence_length, objective, len(vocabulary.sentinels))
    parts = length, objective, vocabulary, config.seed
    rows = CorruptedRows(stream, *parts, [(0, len(stream))])
    nats, right, count = 0.0, 0, 0
    for first in range(0, sum(rows.sizes), config.batch_size):
        numbers = np.arange(first, min(first + config.batch_size, sum(rows.sizes)))
        found = _score(loaded, network, rows.read(numbers, numbers))
        nats, right, count = nats + found[0], right + found[1], count + found[2]
    figures = {
        metrics.SPAN_PERPLEXITY: math.exp(min(nats / count, 700)),
        metrics.SPAN_ACCURACY: right / count,
        metrics.LOSS: nats / count,
        metrics.LOST_BYTES: lost_bytes(loaded.tokenizer, texts, encoded),
    }
    return EvaluationResult(
        family="encoder_decoder",
        documents=len(texts),
        bytes=sum(len(text.encode()) for text in texts),
        predictions=count,
        figures=finite_figures(figures, network.precision),
        decides=metrics.SPAN_PERPLEXITY,
        signature=loaded.tokenizer_signature,
        samples=tuple(_samples(loaded, network, rows, vocabulary, config)),
        precision=network.precision,
        seconds=time.perf_counter() - begun,
    )


@torch.inference_mode()
def _score(loaded: Loaded, network: EncoderDecoder, read: PairBatch) -> tuple[float, int, int]:
    """Nats, tokens that are likeliest, and all tokens of a batch."""
    batch = as_tensors(read, loaded.device)
    targets_BT = batch.pop("targets_BT")
    logits_BTV = network(**batch)
    used = targets_BT != IGNORED
    losses = torch.nn.functional.cross_entropy(
        logits_BTV[used].float(), targets_BT[used], reduction="sum"
    )
    right = (logits_BTV.argmax(-1) == targets_BT)[used].sum()
    return float(losses), int(right), int(used.sum())


def _samples(
    loaded: Loaded,
    network: EncoderDecoder,
    rows: CorruptedRows,
    vocabulary: Vocabulary,
    config: EvaluationConfig,
) -> Iterator[Sample]:
    """What is read, and what the network writes into its gaps."""
    total = sum(rows.sizes)
    count = min(config.samples, total)
    if not count:
        return
    chosen = np.arange(count) * total // count
    batch = rows.read(chosen, chosen)
    sources = [
        row[:length].tolist()
        for row, length in zip(batch.source_BS, batch.lengths_B.tolist(), strict=True)
    ]
    tokens = write(
        network,
        sources,
        start_id=vocabulary.require("pad"),
        stop_id=vocabulary.closing,
        max_new_tokens=min(config.sample_tokens, loaded.sequence_length),
        sampling=config,
    )
    cut_out = [row[row != IGNORED][:-1].tolist() for row in batch.targets_BT]
    for each in zip(sources, gather(tokens, count), cut_out, strict=True):
        prompt, answer, reference = (
            decode(loaded.tokenizer, ids[: config.sample_tokens], skip_special_tokens=False)
            for ids in each
        )
        yield Sample(prompt=prompt, continuation=answer, reference=reference)
