"""How well an encoder-decoder writes what was cut out of held-out documents."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from corpusmill.model.config import EvaluationConfig, EvaluationResult, Sample
from corpusmill.model.data.batches import PairBatch
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.evaluation.blocks import BlockSums
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
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.shards.reading import ArrayStream


def score_spans(
    loaded: Loaded, network: EncoderDecoder, held_out: Sequence[Document], config: EvaluationConfig
) -> tuple[EvaluationResult, Blocks]:
    """Figures over held-out documents, and of their blocks nats and what is right.

    They are read in pieces as long as the network has learned to read. Where the tokenizer has too
    few sentinels for such a piece they are shorter.

    span_perplexity: exponential of the mean loss of a token of what was cut out, its sentinels
        among them.
    span_accuracy: share of these tokens that the network thinks likeliest, the ones before them
        given.
    lost_bytes: of the texts that their tokens do not give back; as in `score_masked` they cost
        nothing.
    """
    begun = time.perf_counter()
    vocabulary = read_vocabulary(loaded.directory)
    texts = [document.text for document in held_out]
    encoded = list(encode_documents(loaded.tokenizer, texts))
    stream = ArrayStream(np.concatenate(encoded))
    objective = SpanCorruption()
    length = fitting_length(loaded.sequence_length, objective, len(vocabulary.sentinels))
    parts = length, objective, vocabulary, config.seed
    rows = CorruptedRows(stream, *parts, [(0, len(stream))])
    sums = BlockSums(held_out, [len(ids) for ids in encoded], values=2)
    for first in range(0, sum(rows.sizes), config.batch_size):
        numbers = np.arange(first, min(first + config.batch_size, sum(rows.sizes)))
        batch = rows.read(numbers, numbers)
        places_N = rows.targets_in_stream(numbers, numbers)[batch.targets_BT != IGNORED]
        sums.add(places_N, *_score(loaded, network, batch))
    count, (nats, right) = int(sums.predictions.sum()), sums.values.sum(0).tolist()
    figures = {
        metrics.SPAN_PERPLEXITY: math.exp(min(nats / count, 700)),
        metrics.SPAN_ACCURACY: right / count,
        metrics.LOSS: nats / count,
        metrics.LOST_BYTES: int(lost_bytes(loaded.tokenizer, texts, encoded).sum()),
    }
    result = EvaluationResult(
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
    return result, sums.blocks(sums.values)


@torch.inference_mode()
def _score(
    loaded: Loaded, network: EncoderDecoder, read: PairBatch
) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each target of a batch, fp32 (N,), and whether it is the likeliest, bool (N,)."""
    batch = as_tensors(read, loaded.device)
    targets_BT = batch.pop("targets_BT")
    logits_BTV = network(**batch)
    used = targets_BT != IGNORED
    nats_N = cross_entropy(logits_BTV[used].float(), targets_BT[used], reduction="none")
    right_N = (logits_BTV.argmax(-1) == targets_BT)[used]
    return nats_N.cpu().numpy(), right_N.cpu().numpy()


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
