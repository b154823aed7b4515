"""Scoring an encoder by what it fills in; each figure against its plain definition."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.normalizers import Lowercase

from corpusmill.model.config import EvaluationConfig, EvaluationJob, EvaluationResult
from corpusmill.model.evaluation.held_out import evaluate
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.answering import load_answerer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import BertConfig
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.blocks import read_blocks
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.settings import ComputePrecision, Precision
from corpusmill.tasks.ingestion.config import CorpusConfig
from tests.corpora import build_of, speeches
from tests.networks import random_network

SHAPE = BertConfig(
    num_hidden_layers=1,
    hidden_size=32,
    intermediate_size=48,
    max_position_embeddings=32,
    next_sentence=True,
)
OPTIONS: dict[str, Any] = {"max_new_tokens": 9, "sampling": Sampling(temperature=0)}


@dataclass(frozen=True)
class Exam:
    model: Path
    network: LanguageModel
    corpus: Path
    texts: tuple[str, ...]

    def judge(
        self, directory: Path, model: Path | None = None, precision: Precision = "auto"
    ) -> EvaluationResult:
        return evaluate(
            EvaluationJob(
                directory=directory,
                model=model or self.model,
                corpus=self.corpus,
                evaluation=EvaluationConfig(samples=2, batch_size=5, precision=precision),
            )
        )


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    root = tmp_path_factory.mktemp("masked")
    generator, text = random.Random(0), speeches(1)[0]
    (root / "sources").mkdir()
    for number in range(30):
        start = generator.randrange(len(text) - 200)
        part = text[start : start + generator.randint(30, 200)]
        (root / "sources" / f"{number}.txt").write_text(part, encoding="utf-8")
    config = CorpusConfig(sources=(str(root / "sources"),), validation_fraction=0.2)
    corpus = build_of(root, config)
    texts = tuple(document.text for document in read_documents(corpus.path, "validation"))
    (root / "tokenizer").mkdir()
    train_tokenizer(
        [text],
        TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=300),
        root / "tokenizer",
    )
    size = load_tokenizer(root / "tokenizer").get_vocab_size()
    network = random_network(SHAPE, size)
    # Of 32 positions half were never trained.
    export_model(network, SHAPE, root / "tokenizer", 16, root / "model")
    return Exam(root / "model", network, corpus.path, texts)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judged")


@pytest.fixture(scope="module")
def result(exam: Exam, judged: Path) -> EvaluationResult:
    return exam.judge(judged)


def test_sums_over_blocks_give_loss_and_accuracy(
    exam: Exam, result: EvaluationResult, judged: Path
) -> None:
    blocks = read_blocks(judged)
    assert blocks.bytes.tolist() == [len(text.encode()) for text in exam.texts]
    nats, right = blocks.statistics.sum(0) / blocks.predictions.sum()
    assert nats == pytest.approx(result.figures["loss"], rel=1e-12)
    assert right == pytest.approx(result.figures["masked_accuracy"], rel=1e-12)
    # About as many of each document are masked as it has bytes.
    assert np.corrcoef(blocks.predictions, blocks.bytes)[0, 1] > 0.8


def test_every_figure_is_there_and_the_accuracy_decides(result: EvaluationResult) -> None:
    assert set(result.figures) == {
        "masked_accuracy",
        "unigram_accuracy",
        "loss",
        "pseudo_perplexity",
        "next_sentence_accuracy",
        "lost_bytes",
    }
    assert result.family == "masked_lm"
    assert (result.decides, result.higher_is_better) == ("masked_accuracy", True)
    assert all(0 <= value <= 1 for name, value in result.figures.items() if "accuracy" in name)


def test_the_accuracy_compares_only_with_one_of_the_same_tokenizer(
    exam: Exam, result: EvaluationResult
) -> None:
    loaded = load_for_use(exam.model)
    assert loaded.tokenizer_signature == result.signature
    loaded.tokenizer.normalizer = Lowercase()
    assert loaded.tokenizer_signature != result.signature


def test_the_same_model_is_judged_the_same_again(
    exam: Exam, result: EvaluationResult, tmp_path: Path
) -> None:
    again = exam.judge(tmp_path)
    assert (again.figures, again.samples) == (result.figures, result.samples)


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", 1e-2)])
def test_pseudo_perplexity_masks_one_token_at_a_time(
    exam: Exam, tmp_path: Path, precision: ComputePrecision, near: float
) -> None:
    result = exam.judge(tmp_path, precision=precision)
    tokenizer, network = load_tokenizer(exam.model), exam.network.eval()
    assert isinstance(network, Bert)
    mask = int(tokenizer.token_to_id("[MASK]") or 0)
    stream = [token for text in exam.texts for token in tokenizer.encode(text).ids]
    before, after = stream[0], stream[-1]
    nats, scored = 0.0, 0
    for start in range(0, len(stream), 14):
        row = [before, *stream[start : start + 14], after]
        for place, token in enumerate(row):
            if token in (before, after):
                continue
            ids = torch.tensor([row])
            ids[0, place] = mask
            with torch.no_grad():
                logits = network(ids, lengths_B=torch.tensor([len(row)]))[0, place]
            nats -= float(logits.log_softmax(-1)[token])
            scored += 1
    assert scored < 2048
    found = math.log(result.figures["pseudo_perplexity"])
    assert found == pytest.approx(nats / scored, rel=near)


def test_samples_show_what_was_masked_and_what_is_filled_in(result: EvaluationResult) -> None:
    assert len(result.samples) == 2
    for sample in result.samples:
        assert "[MASK]" in sample.prompt and "[MASK]" not in sample.continuation


def test_a_mask_in_a_text_is_filled_with_the_likeliest_token(
    exam: Exam, precision: ComputePrecision
) -> None:
    (filled,) = load_answerer(exam.model).answers(["the [MASK] of"], **OPTIONS)
    tokenizer, network = load_tokenizer(exam.model), exam.network.eval()
    before, after = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("the", "of"))
    first, mask, last = (int(tokenizer.token_to_id(t) or 0) for t in ("[CLS]", "[MASK]", "[SEP]"))
    ids = [first, *before, mask, *after, last]
    with torch.no_grad():
        logits = network(torch.tensor([ids]), lengths_B=torch.tensor([len(ids)]))
    ids[ids.index(mask)] = int(logits[0, ids.index(mask)].argmax())
    assert filled == tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no mask at all", r"There is no \[MASK\] in 'no mask at all'; expected one"),
        ("[MASK] " + "report " * 20, "the model reads 16; shorten it"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(exam: Exam, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_answerer(exam.model).answers([text], **OPTIONS)
