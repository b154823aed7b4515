"""A model judged by the documents that it has not seen, as its family is judged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from corpusmill.model.config import EvaluationConfig, EvaluationJob, EvaluationResult
from corpusmill.model.evaluation.causal import score_causal
from corpusmill.model.evaluation.masked import score_masked
from corpusmill.model.evaluation.memorisation import find_memorised
from corpusmill.model.evaluation.probes import ask
from corpusmill.model.evaluation.spans import score_spans
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import Loaded, load_for_use
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.storage.blocks import Blocks, write_blocks
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.corpus.pairs import pair_sources, part_pair
from corpusmill.storage.errors import CorpusError, ModelError
from corpusmill.storage.probes import write_answers


def evaluate(job: EvaluationJob) -> EvaluationResult:
    """Figures over every held-out document of the corpus, or of probes alone.

    An encoder-decoder translates where pairs are held out, and else writes what is cut out. What is
    found for each block of the documents, and for each item of a decoder's probes, is written into
    the job's directory.

    Raises:
        ModelError: the model directory does not hold a model.
        CorpusError: no document is held out, or a file of a probe cannot be read.
    """
    loaded = load_for_use(job.model, job.evaluation.precision)
    if job.corpus:
        texts, pairs = _read(job.corpus)
        result, blocks = _score(loaded, texts, pairs, job.evaluation)
        write_blocks(job.directory, blocks)
    else:
        result = _without_text(loaded)
    if not isinstance(loaded.network, CausalNetwork):
        return result
    return _asked(result, Writer(loaded.network, loaded.tokenizer, loaded.sequence_length), job)


def _read(corpus: Path) -> tuple[list[Document], list[Document]]:
    """Texts that are held out, sides of pairs among them, and pairs."""
    with_pairs = pair_sources(corpus)
    texts, pairs = list[Document](), list[Document]()
    for document in read_documents(corpus, "validation"):
        if document.source in with_pairs:
            pairs.append(document)
            texts += (replace(document, text=side) for side in part_pair(document.text))
        else:
            texts.append(document)
    if not texts:
        raise CorpusError(f"{corpus} holds no held-out document; raise corpus.validation_fraction.")
    return texts, pairs


def _without_text(loaded: Loaded) -> EvaluationResult:
    if not isinstance(loaded.network, CausalNetwork):
        raise ModelError(
            "This model does not continue text, and so no probe can be asked; expected a decoder, "
            "or text to score it on in corpus.sources."
        )
    return EvaluationResult(
        family="causal_lm",
        documents=0,
        bytes=0,
        predictions=0,
        figures={},
        decides="",
        precision=loaded.network.precision,
        seconds=0.0,
    )


def _asked(result: EvaluationResult, writer: Writer, job: EvaluationJob) -> EvaluationResult:
    """The result of a decoder with its probes, and what it knows by heart."""
    found: dict[str, object] = {}
    if job.evaluation.probes:
        found["probes"], answers = ask(writer, job.evaluation.probes)
        write_answers(job.directory, answers)
    if job.trained_on:
        learned, with_pairs = read_documents(job.trained_on, "train"), pair_sources(job.trained_on)
        found["memorisation"] = find_memorised(writer, learned, with_pairs=with_pairs)
    return result.model_copy(update=found)


def _score(
    loaded: Loaded,
    texts: Sequence[Document],
    pairs: Sequence[Document],
    config: EvaluationConfig,
) -> tuple[EvaluationResult, Blocks]:
    network = loaded.network
    if isinstance(network, CausalNetwork):
        writer = Writer(network, loaded.tokenizer, loaded.sequence_length)
        return score_causal(writer, texts, config)
    if isinstance(network, Bert):
        return score_masked(loaded, network, texts, config)
    assert isinstance(network, EncoderDecoder)
    if pairs and config.translate:
        from corpusmill.model.evaluation.translation import score_translation

        return score_translation(loaded, network, pairs, config)
    return score_spans(loaded, network, texts, config)
