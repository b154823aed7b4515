"""A model judged by the documents that it has not seen, as its family is judged."""

from corpusmill.model.config import EvaluationJob, EvaluationResult
from corpusmill.model.evaluation.causal import score_causal
from corpusmill.model.evaluation.masked import score_masked
from corpusmill.model.evaluation.spans import score_spans
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.corpus.pairs import pair_sources, part_pair
from corpusmill.storage.errors import CorpusError


def evaluate(job: EvaluationJob) -> EvaluationResult:
    """Figures over every held-out document of the corpus.

    An encoder-decoder translates where pairs are held out, and else writes what is cut out.

    Raises:
        ModelError: the model directory does not hold a model.
        CorpusError: no document is held out.
    """
    loaded = load_for_use(job.model, job.evaluation.precision)
    with_pairs = pair_sources(job.corpus)
    texts, pairs = list[str](), list[tuple[str, str]]()
    for document in read_documents(job.corpus, "validation"):
        if document.source in with_pairs:
            pairs.append(part_pair(document.text))
            texts += pairs[-1]
        else:
            texts.append(document.text)
    if not texts:
        raise CorpusError(
            f"{job.corpus} holds no held-out document; raise corpus.validation_fraction."
        )
    network = loaded.network
    if isinstance(network, CausalNetwork):
        writer = Writer(network, loaded.tokenizer, loaded.sequence_length)
        return score_causal(writer, texts, job.evaluation)
    if isinstance(network, Bert):
        return score_masked(loaded, network, texts, job.evaluation)
    assert isinstance(network, EncoderDecoder)
    if pairs and job.evaluation.translate:
        from corpusmill.model.evaluation.translation import score_translation

        return score_translation(loaded, network, pairs, job.evaluation)
    return score_spans(loaded, network, texts, job.evaluation)
