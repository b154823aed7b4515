"""How well an encoder fills in what is masked, and judges what follows.

Shape suffixes: B sequences, T positions, M places that are predicted, V vocabulary.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from corpusmill.model.config import EvaluationConfig, EvaluationResult, Sample
from corpusmill.model.data.batches import MaskedBatch, Samples
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.evaluation.blocks import BlockSums
from corpusmill.model.finite import finite_figures
from corpusmill.model.inference.loading import Loaded
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.objectives.masked import MaskedRows
from corpusmill.model.objectives.masking import Masking
from corpusmill.model.objectives.pairs import SentencePairs
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tokenizer.encoding import decode, encode_documents
from corpusmill.model.tokenizer.lost import lost_bytes
from corpusmill.storage import metrics
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import ArrayStream

_PSEUDO_TOKENS = 2048  # scored one by one: as many passes through the network


def score_masked(
    loaded: Loaded, network: Bert, held_out: Sequence[Document], config: EvaluationConfig
) -> tuple[EvaluationResult, Blocks]:
    """Figures over held-out documents, and of their blocks nats and what is right.

    masked_accuracy: share of the masked tokens that the network thinks likeliest.
    unigram_accuracy: what the commonest of them always would get right.
    pseudo_perplexity: exp of the mean of -log p(token | all others) (Salazar et al. 2020), over
        the first tokens.
    next_sentence_accuracy: share of pairs judged rightly, half of which follow each other.
    lost_bytes: of the texts that their tokens do not give back. They cost nothing here, for what
        is predicted is the tokens: figures compare between models with one tokenizer alone, which
        the signature names.
    """
    begun = time.perf_counter()
    vocabulary = read_vocabulary(loaded.directory)
    texts = [document.text for document in held_out]
    encoded = list(encode_documents(loaded.tokenizer, texts))
    stream, ends = ArrayStream(np.concatenate(encoded)), np.cumsum([len(ids) for ids in encoded])
    masking = Masking(MaskedTokens(), vocabulary, config.seed)
    everything = [(0, len(stream))]
    parts = stream, ends, loaded.sequence_length, masking, everything
    rows = MaskedRows(*parts, document_mask=False)
    sums = BlockSums(held_out, [len(ids) for ids in encoded], values=2)
    targets_N = _count(loaded, network, rows, config, sums)
    predictions, (nats, right) = len(targets_N), sums.values.sum(0).tolist()
    figures: dict[str, float] = {
        metrics.MASKED_ACCURACY: right / predictions,
        metrics.UNIGRAM_ACCURACY: int(np.bincount(targets_N).max()) / predictions,
        metrics.LOSS: nats / predictions,
        metrics.LOST_BYTES: int(lost_bytes(loaded.tokenizer, texts, encoded).sum()),
    }
    figures[metrics.PSEUDO_PERPLEXITY] = _pseudo_perplexity(
        loaded, network, rows, vocabulary, config
    )
    if network.config.next_sentence and (pairs := _pairs(parts)):
        figures[metrics.NEXT_SENTENCE_ACCURACY] = _judged(loaded, network, pairs, config)
    result = EvaluationResult(
        family="masked_lm",
        documents=len(texts),
        bytes=sum(len(text.encode()) for text in texts),
        predictions=predictions,
        figures=finite_figures(figures, network.precision),
        decides=metrics.MASKED_ACCURACY,
        higher_is_better=True,
        signature=loaded.tokenizer_signature,
        samples=tuple(_filled(loaded, network, rows, vocabulary, config)),
        precision=network.precision,
        seconds=time.perf_counter() - begun,
    )
    return result, sums.blocks(sums.values)


def _batches(samples: Samples, size: int) -> Iterator[tuple[np.ndarray, MaskedBatch]]:
    """Numbers of samples and the samples, `size` at a time."""
    for first in range(0, sum(samples.sizes), size):
        numbers = np.arange(first, min(first + size, sum(samples.sizes)))
        batch = samples.read(numbers, numbers)
        assert isinstance(batch, MaskedBatch)
        yield numbers, batch


@torch.inference_mode()
def _count(
    loaded: Loaded, network: Bert, rows: MaskedRows, config: EvaluationConfig, sums: BlockSums
) -> np.ndarray:
    """Adds nats and what is right of all predictions; returns their targets, int64 (N,)."""
    targets = []
    for numbers, batch in _batches(rows, config.batch_size):
        logits_NV, targets_N = _predictions(network, as_tensors(batch, loaded.device))
        nats_N = cross_entropy(logits_NV, targets_N, reduction="none")
        right_N = logits_NV.argmax(-1) == targets_N
        places_N = rows.in_stream(numbers, batch.places_BM)[batch.targets_BM != IGNORED]
        sums.add(places_N, nats_N.cpu().numpy(), right_N.cpu().numpy())
        targets.append(targets_N.cpu().numpy())
    return np.concatenate(targets)


def _predictions(network: Bert, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and targets (N,) of all places that are predicted."""
    hidden_BTD = network.hidden(batch["ids_BT"], batch["lengths_B"])
    logits_NV = network.masked_logits(hidden_BTD, batch["places_BM"])
    targets_N = batch["targets_BM"].flatten()
    used = targets_N != IGNORED
    return logits_NV[used].float(), targets_N[used]


@torch.inference_mode()
def _pseudo_perplexity(
    loaded: Loaded, network: Bert, rows: Samples, vocabulary: Vocabulary, config: EvaluationConfig
) -> float:
    nats, scored = 0.0, 0
    for ids, text in _unmasked(rows, vocabulary):
        places = text[: _PSEUDO_TOKENS - scored]
        for first in range(0, len(places), config.batch_size):
            some = places[first : first + config.batch_size]
            ids_BT = np.repeat(ids[None], len(some), axis=0)
            targets = torch.from_numpy(ids[some])
            ids_BT[np.arange(len(some)), some] = vocabulary.require("mask")
            lengths = torch.full((len(some),), len(ids), device=loaded.device)
            hidden = network.hidden(torch.from_numpy(ids_BT).to(loaded.device), lengths)
            where = torch.from_numpy(some).unsqueeze(1).to(loaded.device)
            logits = network.masked_logits(hidden, where).float().cpu()
            nats += float(cross_entropy(logits, targets, reduction="sum"))
        scored += len(places)
        if scored >= _PSEUDO_TOKENS:
            break
    return math.exp(min(nats / max(1, scored), 700))


def _unmasked(rows: Samples, vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The ids of each row, without masks and padding, and where its text stands."""
    for _, batch in _batches(rows, 1):
        ids = batch.ids_BT[0, : batch.lengths_B[0]].copy()
        used = batch.targets_BM[0] != IGNORED
        ids[batch.places_BM[0, used]] = batch.targets_BM[0, used]
        yield ids, np.flatnonzero((ids != vocabulary.opening) & (ids != vocabulary.closing))


def _pairs(parts: tuple[Any, ...]) -> SentencePairs | None:
    try:
        return SentencePairs(*parts, least=2)
    except ConfigError:
        return None  # too little text is held out


@torch.inference_mode()
def _judged(loaded: Loaded, network: Bert, pairs: SentencePairs, config: EvaluationConfig) -> float:
    right = 0
    for _, read in _batches(pairs, config.batch_size):
        batch = as_tensors(read, loaded.device)
        # What is masked says nothing here about the network's reading: it reads as it was trained.
        hidden = network.hidden(batch["ids_BT"], batch["lengths_B"], batch["segments_BT"])
        right += int((network.next_logits(hidden).argmax(-1) == batch["random_next_B"]).sum())
    return right / sum(pairs.sizes)


@torch.inference_mode()
def _filled(
    loaded: Loaded, network: Bert, rows: Samples, vocabulary: Vocabulary, config: EvaluationConfig
) -> Iterator[Sample]:
    """Short passages with masks, and what the network puts in their place."""
    total = sum(rows.sizes)
    for number in range(min(config.samples, total)):
        chosen = np.array([number * total // config.samples])
        batch = rows.read(chosen, chosen)
        assert isinstance(batch, MaskedBatch)
        given = as_tensors(batch, loaded.device)
        logits_NV, _ = _predictions(network, given)
        read, end = batch.ids_BT[0].copy(), min(int(batch.lengths_B[0]) - 1, config.sample_tokens)
        used = batch.targets_BM[0] != IGNORED
        places = batch.places_BM[0, used]
        read[places] = vocabulary.require("mask")
        filled, masked = logits_NV.argmax(-1).tolist(), batch.targets_BM[0, used].tolist()
        shown = [index for index, place in enumerate(places.tolist()) if 0 < place < end]
        yield Sample(
            prompt=decode(loaded.tokenizer, read[1:end].tolist(), skip_special_tokens=False),
            continuation=_listed(vocabulary, [filled[index] for index in shown]),
            reference=_listed(vocabulary, [masked[index] for index in shown]),
        )


def _listed(vocabulary: Vocabulary, ids: list[int]) -> str:
    return " · ".join(vocabulary.tokens[token] for token in ids)
