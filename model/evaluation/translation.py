"""How well an encoder-decoder translates held-out pairs."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sacrebleu import BLEU, CHRF
from torch.nn.functional import cross_entropy

from corpusmill.model.config import EvaluationConfig, EvaluationResult, Sample
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.evaluation.bleu import bleu_for
from corpusmill.model.finite import finite_figures
from corpusmill.model.inference.beams import beam_search
from corpusmill.model.inference.loading import Loaded
from corpusmill.model.network.config import IGNORED
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.objectives.translation import TranslatedPairs
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tokenizer.encoding import decode, encode_documents
from corpusmill.storage import metrics
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.corpus.pairs import part_pair
from corpusmill.storage.shards.reading import ArrayStream

_LONGER = 50  # tokens that a translation may have more than its source (Vaswani et al. 2017, §6.1)


def score_translation(
    loaded: Loaded,
    network: EncoderDecoder,
    held_out: Sequence[Document],
    config: EvaluationConfig,
) -> tuple[EvaluationResult, Blocks]:
    """Figures over held-out pairs, each of them a block; of a text longer than the network has
    learned to read, and of what it would write beyond that, the rest is cut off.

    bleu: of the corpus (Papineni et al. 2002) by sacrebleu (Post 2018), of detokenized text, whose
        words are parted as its script asks; the signature says how.
    chrf: of the corpus (Popović 2015).
    copied_bleu: what the sources themselves would get.
    perplexity: exponential of the mean loss of a token of the references.
    """
    begun = time.perf_counter()
    pairs = [part_pair(document.text) for document in held_out]
    sources, references = ([pair[side] for pair in pairs] for side in (0, 1))
    vocabulary = read_vocabulary(loaded.directory)
    nats, targets = _nats(loaded, network, pairs, vocabulary, config.batch_size)
    tokens = int(targets.sum())
    likelihood = {
        metrics.PERPLEXITY: math.exp(min(nats / tokens, 700)),
        metrics.LOSS: nats / tokens,
    }
    figures = finite_figures(likelihood, network.precision)
    written = translate(loaded, network, sources, vocabulary, config)
    bleu = bleu_for(references)
    result = EvaluationResult(
        family="encoder_decoder",
        documents=len(pairs),
        bytes=sum(len(text.encode()) for pair in pairs for text in pair),
        predictions=tokens,
        figures={
            metrics.BLEU: bleu.corpus_score(written, [references]).score,
            metrics.CHRF: CHRF().corpus_score(written, [references]).score,
            metrics.COPIED_BLEU: bleu.corpus_score(sources, [references]).score,
            **figures,
        },
        decides=metrics.BLEU,
        higher_is_better=True,
        signature=str(bleu.get_signature()),
        samples=tuple(_samples(pairs, written, config.samples)),
        precision=network.precision,
        seconds=time.perf_counter() - begun,
    )
    return result, _blocks(held_out, written, targets, bleu)


def _blocks(
    held_out: Sequence[Document], written: Sequence[str], targets: np.ndarray, bleu: BLEU
) -> Blocks:
    """Of each pair what sacreBLEU counts of its translation for BLEU, and for chrF."""
    pairs = [part_pair(document.text) for document in held_out]
    references = [[reference for _, reference in pairs]]
    counted = [
        np.array(each._extract_corpus_statistics(written, references), np.float64)
        for each in (bleu, CHRF())
    ]
    return Blocks(
        documents=[document.id for document in held_out],
        sources=[document.source for document in held_out],
        numbers=np.zeros(len(pairs), np.int32),
        bytes=np.array([sum(len(side.encode()) for side in pair) for pair in pairs], np.int64),
        predictions=targets,
        statistics=np.concatenate(counted, axis=1),
    )


def translate(
    loaded: Loaded,
    network: EncoderDecoder,
    sources: Sequence[str],
    vocabulary: Vocabulary,
    config: EvaluationConfig,
) -> list[str]:
    """The translation of each source, by beam search."""
    encoded = [ids.tolist() for ids in _encoded(loaded, sources, vocabulary)]
    # Those of about the same length side by side, so that little is padded.
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
    translated = [""] * len(encoded)
    for first in range(0, len(order), config.batch_size):
        rows = order[first : first + config.batch_size]
        some = [encoded[row] for row in rows]
        found = beam_search(
            network,
            some,
            start_id=vocabulary.require("pad"),
            stop_id=vocabulary.closing,
            max_new_tokens=min(max(map(len, some)) + _LONGER, loaded.sequence_length),
            beams=config.beams,
            length_penalty=config.length_penalty,
        )
        for row, ids in zip(rows, found, strict=True):
            translated[row] = decode(loaded.tokenizer, ids, skip_special_tokens=True).strip()
    return translated


@torch.inference_mode()
def _nats(
    loaded: Loaded,
    network: EncoderDecoder,
    pairs: Sequence[tuple[str, str]],
    vocabulary: Vocabulary,
    batch_size: int,
) -> tuple[float, np.ndarray]:
    """-log p of all references, and the tokens of each, int64 (pairs,)."""
    texts = [text for pair in pairs for text in pair]
    encoded = _encoded(loaded, texts, vocabulary)
    edges = np.cumsum([0, *map(len, encoded)])
    where = np.stack([edges[:-1:2], edges[1::2], edges[2::2]])
    stream = ArrayStream(np.concatenate(encoded))
    longest = max(map(len, encoded))
    samples = TranslatedPairs(stream, where, longest, vocabulary, [(0, len(stream))])
    order = np.argsort(samples.tokens(np.arange(len(pairs))), kind="stable")
    nats = 0.0
    for first in range(0, len(pairs), batch_size):
        numbers = order[first : first + batch_size]
        batch = as_tensors(samples.read(numbers, numbers), loaded.device)
        targets = batch.pop("targets_BT")
        logits_BTV, used = network(**batch), targets != IGNORED
        nats += float(cross_entropy(logits_BTV[used].float(), targets[used], reduction="sum"))
    return nats, samples.num_targets(np.arange(len(pairs)))


def _encoded(loaded: Loaded, texts: Sequence[str], vocabulary: Vocabulary) -> list[np.ndarray]:
    """Ids of each text with its closing token, as many as the network has learned to read."""
    most = loaded.sequence_length
    return [
        ids if len(ids) <= most else np.append(ids[: most - 1], vocabulary.closing)
        for ids in encode_documents(loaded.tokenizer, list(texts))
    ]


def _samples(
    pairs: Sequence[tuple[str, str]], written: Sequence[str], wanted: int
) -> Iterator[Sample]:
    """Some pairs from all over the held-out ones, with their translations."""
    count = min(wanted, len(pairs))
    for row in (number * len(pairs) // count for number in range(count)):
        source, reference = pairs[row]
        yield Sample(prompt=source, continuation=written[row], reference=reference)
