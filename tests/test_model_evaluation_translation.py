"""Scoring a translator; each figure against its plain definition."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from tokenizers import Tokenizer

from corpusmill.model.config import EvaluationConfig, EvaluationJob, EvaluationResult
from corpusmill.model.device import COMPUTE_DTYPES
from corpusmill.model.evaluation.figures import Sums, figure_for
from corpusmill.model.evaluation.held_out import evaluate
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.answering import load_answerer
from corpusmill.model.inference.beams import beam_search
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.config import EncoderDecoderConfig
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.objectives.config import SpanCorruption
from corpusmill.model.objectives.spans import CorruptedRows
from corpusmill.model.objectives.vocabulary import read_vocabulary
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.encoding import encode_documents
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.blocks import read_blocks
from corpusmill.storage.corpus.documents import document_id
from corpusmill.storage.corpus.pairs import join_pair
from corpusmill.storage.shards.reading import ArrayStream
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from tests.corpora import build_of
from tests.networks import random_network

SHAPE = EncoderDecoderConfig(
    hidden_size=32,
    intermediate_size=48,
    num_encoder_layers=1,
    num_decoder_layers=1,
    max_position_embeddings=2048,
)
TRAINED = 32  # of as many positions as would take more sentinels than there are
ENGLISH = [
    *((f"the man number {n}", f"a woman who has {n} dogs") for n in range(11)),
    ("the man whose number is " + "eleven " * 40, "a woman who has " + "eleven " * 40 + "dogs"),
]
CHINESE = [(f"the man number {n}", f"第{n}个人有一只狗") for n in range(12)]
OPTIONS = EvaluationConfig(samples=2, batch_size=5, beams=3)


@dataclass(frozen=True)
class Exam:
    model: Path
    network: EncoderDecoder
    pairs: list[tuple[str, str]]
    job: EvaluationJob
    result: EvaluationResult

    @cached_property
    def translated(self) -> list[str]:
        """Each source by itself."""
        tokenizer, vocabulary = load_tokenizer(self.model), read_vocabulary(self.model)
        ids = [_read(tokenizer, source) for source, _ in self.pairs]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        size = OPTIONS.batch_size
        beside = {row: order[place // size * size :][:size] for place, row in enumerate(order)}
        found = [
            beam_search(
                self.network,
                [source],
                start_id=vocabulary.require("pad"),
                stop_id=vocabulary.closing,
                # As many as the longest of those that are searched side by side.
                max_new_tokens=min(max(len(ids[other]) for other in beside[row]) + 50, TRAINED),
                beams=3,
            )[0]
            for row, source in enumerate(ids)
        ]
        return [text.strip() for text in tokenizer.decode_batch(found)]


def _read(tokenizer: Tokenizer, text: str) -> list[int]:
    """As much of a text as the network has learned to read."""
    ids = tokenizer.encode(text).ids
    return ids if len(ids) <= TRAINED else [*ids[: TRAINED - 1], ids[-1]]


def _corpus(root: Path, pairs: list[tuple[str, str]]) -> Ref:
    for name, some in (("train", [("x y", "z z")]), ("test", pairs)):
        lines = (json.dumps({"translation": {"en": a, "xx": b}}) + "\n" for a, b in some)
        (root / f"{name}.jsonl").write_text("".join(lines))
    fields = ("translation.en", "translation.xx")
    sources = [
        FileSource(files=str(root / f"{name}.jsonl"), pair=fields, held_out=name == "test")
        for name in ("train", "test")
    ]
    config = CorpusConfig(sources=tuple(sources), cleaning={"near_duplicates": "off"})
    return build_of(root, config)


@pytest.fixture(
    scope="module",
    params=[(ENGLISH, "fp32"), (CHINESE, "bf16")],
    ids=["English in fp32", "Chinese in bf16"],
)
def exam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exam:
    root, (pairs, precision) = tmp_path_factory.mktemp("translation"), request.param
    corpus = _corpus(root, pairs)
    (root / "tokenizer").mkdir()
    train_tokenizer(
        [side for pair in pairs for side in pair],
        TokenizerConfig(family="encoder_decoder", vocab_size=370),
        root / "tokenizer",
    )
    size = load_tokenizer(root / "tokenizer").get_vocab_size()
    network = random_network(SHAPE, size, COMPUTE_DTYPES[precision]).eval()
    assert isinstance(network, EncoderDecoder)
    export_model(network, SHAPE, root / "tokenizer", TRAINED, root / "model")
    config = OPTIONS.model_copy(update={"precision": precision})
    (root / "job").mkdir()
    job = EvaluationJob(
        directory=root / "job", model=root / "model", corpus=corpus.path, evaluation=config
    )
    return Exam(root / "model", network, pairs, job, evaluate(job))


def test_bleu_and_chrf_are_those_of_sacrebleu(exam: Exam) -> None:
    references = [target for _, target in exam.pairs]
    words = "zh" if exam.pairs is CHINESE else "13a"
    sources = [source for source, _ in exam.pairs]
    copied = sacrebleu.corpus_bleu(sources, [references], tokenize=words)
    assert exam.result.figures["copied_bleu"] == pytest.approx(copied.score)
    bleu = sacrebleu.corpus_bleu(exam.translated, [references], tokenize=words)
    assert exam.result.figures["bleu"] == pytest.approx(bleu.score)
    chrf = sacrebleu.corpus_chrf(exam.translated, [references])
    assert exam.result.figures["chrf"] == pytest.approx(chrf.score)
    assert f"tok:{words}" in exam.result.signature
    assert exam.result.decides == "bleu" and exam.result.higher_is_better
    assert exam.result.documents == 12
    blocks = read_blocks(exam.job.directory)
    assert blocks.documents == [document_id(join_pair(*pair).encode()) for pair in exam.pairs]
    total = Sums(blocks.statistics.sum(0)[None], np.ones(1), np.ones(1))
    figure = figure_for(exam.result.decides)
    assert figure.of(total) == pytest.approx(bleu.score)
    assert figure.beside["chrf"](total) == pytest.approx(chrf.score)
    assert blocks.predictions.sum() == exam.result.predictions


def test_perplexity_is_that_of_the_references(exam: Exam) -> None:
    tokenizer, vocabulary = load_tokenizer(exam.model), read_vocabulary(exam.model)
    nats, count = 0.0, 0
    for source, target in exam.pairs:
        read, wanted = (_read(tokenizer, text) for text in (source, target))
        ids = torch.tensor([[vocabulary.require("pad"), *wanted[:-1]]])
        with torch.no_grad():
            logits = exam.network(torch.tensor([read]), ids, lengths_B=torch.tensor([len(read)]))
        nats -= float(logits[0].log_softmax(-1)[range(len(wanted)), wanted].sum())
        count += len(wanted)
    near = {"fp32": 1e-4, "bf16": 1e-2}[exam.result.precision]
    assert exam.result.figures["loss"] == pytest.approx(nats / count, rel=near)
    assert exam.result.predictions == count


def test_a_denoiser_is_judged_by_gaps_on_pairs_too(exam: Exam, tmp_path: Path) -> None:
    config = exam.job.evaluation.model_copy(update={"translate": False})
    changed = {"evaluation": config, "directory": tmp_path}
    result = evaluate(exam.job.model_copy(update=changed))
    assert result.decides == "span_perplexity"
    assert result.signature.startswith("tokenizer:")
    assert result.documents == 2 * len(exam.pairs)
    texts = [text for pair in exam.pairs for text in pair]
    stream = ArrayStream(np.concatenate(list(encode_documents(load_tokenizer(exam.model), texts))))
    parts = TRAINED, SpanCorruption(), read_vocabulary(exam.model), 0, [(0, len(stream))]
    rows = CorruptedRows(stream, *parts)
    assert result.predictions == rows.num_targets(np.arange(sum(rows.sizes))).sum()
    blocks = read_blocks(tmp_path)
    assert blocks.numbers.tolist() == [0, 1] * len(exam.pairs)
    nats, right = blocks.statistics.sum(0) / blocks.predictions.sum()
    assert nats == pytest.approx(result.figures["loss"], rel=1e-12)
    assert right == pytest.approx(result.figures["span_accuracy"], rel=1e-12)


def test_samples_show_source_translation_and_reference(exam: Exam) -> None:
    by_source = dict(exam.pairs)
    assert len(exam.result.samples) == 2
    for sample in exam.result.samples:
        assert sample.reference == by_source[sample.prompt]
        row = [source for source, _ in exam.pairs].index(sample.prompt)
        assert sample.continuation == exam.translated[row]


def test_a_prompt_is_translated_and_one_with_gaps_is_filled(
    exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_PRECISION", exam.result.precision)
    model = load_answerer(exam.model)
    prompts = ["the man number 3", "the <extra_id_0> number 4", "the man number 5"]
    limits = {"max_new_tokens": 9, "sampling": Sampling(temperature=0.0)}
    together = model.answers(prompts, **limits)  # type: ignore[arg-type]
    alone = [model.answers([prompt], **limits)[0] for prompt in prompts]  # type: ignore[arg-type]
    assert together == alone
    streamed = ["".join(model.stream(prompt, **limits)) for prompt in prompts]  # type: ignore[arg-type]
    assert streamed == alone
