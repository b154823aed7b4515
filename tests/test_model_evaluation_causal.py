"""Scoring held-out text: every token once, in bits a byte, and samples of the same text."""

import json
import math
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from corpusmill.model.config import EvaluationConfig, EvaluationJob, EvaluationResult, ProbeConfig
from corpusmill.model.evaluation.causal import score_causal
from corpusmill.model.evaluation.held_out import evaluate
from corpusmill.model.evaluation.probe_items import read_items
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.answering import load_answerer, text_pieces
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.gpt2 import GPT2
from corpusmill.model.process import INPUT_ERROR
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.artifacts import find
from corpusmill.storage.blocks import read_blocks
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.errors import CorpusError, ModelError
from corpusmill.storage.layout import Layout
from corpusmill.storage.probes import read_answers
from corpusmill.storage.settings import ComputePrecision
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.launch import evaluation_command
from corpusmill.tasks.stages.held_out import Choice, choose_documents
from tests.corpora import build_of
from tests.networks import GPT2_SHAPE, random_decoder, random_network

SEQUENCE_LENGTH = 16
NO_SAMPLES = EvaluationConfig(samples=0)


@dataclass(frozen=True)
class Exam:
    """A model and a corpus with held-out documents."""

    model: Path
    corpus: Path
    texts: tuple[str, ...]

    def job(self, directory: Path, config: EvaluationConfig = NO_SAMPLES) -> EvaluationJob:
        return EvaluationJob(
            directory=directory, model=self.model, corpus=self.corpus, evaluation=config
        )


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    root = tmp_path_factory.mktemp("exam")
    generator = random.Random(0)
    words = ["the ", "river ", "stood ", "old ", "rain\n", "河边", "老房子", "下雨。"]
    (root / "sources").mkdir()
    for number in range(30):
        text = "".join(generator.choices(words, k=generator.randint(1, 30)))
        (root / "sources" / f"{number}.txt").write_text(text, encoding="utf-8")
    config = CorpusConfig(sources=(str(root / "sources"),), validation_fraction=0.2)
    corpus = build_of(root, config)
    texts = tuple(document.text for document in read_documents(corpus.path, "validation"))
    (root / "tokenizer").mkdir()
    train_tokenizer(
        [document.text for document in read_documents(corpus.path, "train")],
        TokenizerConfig(vocab_size=270),
        root / "tokenizer",
    )
    network = random_decoder(270)
    export_model(network, network.config, root / "tokenizer", SEQUENCE_LENGTH, root / "model")
    return Exam(root / "model", corpus.path, texts)


def _tokens(exam: Exam) -> list[list[int]]:
    tokenizer = load_tokenizer(exam.model)
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in exam.texts]


def _writer(directory: Path) -> Writer:
    loaded = load_for_use(directory)
    assert isinstance(loaded.network, CausalNetwork)
    return Writer(loaded.network, loaded.tokenizer, loaded.sequence_length)


def _plain_nats(exam: Exam) -> list[float]:
    """Of each document, each token from as many before it as the model can look back on."""
    writer = _writer(exam.model)
    device = writer.model.embed_tokens.weight.device
    end, totals = end_of_text_id(writer.tokenizer), list[float]()
    for ids in _tokens(exam):
        tokens, total = [end, *ids], 0.0
        for place in range(1, len(tokens)):
            context = tokens[max(0, place - SEQUENCE_LENGTH) : place]
            with torch.no_grad():
                logits = writer.model(torch.tensor([context], device=device))[0, -1].float()
            total -= float(logits.log_softmax(-1)[tokens[place]])
        totals.append(total)
    return totals


@pytest.mark.parametrize("stride", [1, 2, 5, 15, 16, 17, 1000, None])
def test_every_token_is_scored_once_whatever_the_stride(
    exam: Exam, tmp_path: Path, stride: int | None
) -> None:
    result = evaluate(exam.job(tmp_path, EvaluationConfig(stride=stride, samples=0)))
    assert result.predictions == sum(map(len, _tokens(exam)))
    assert result.documents == len(exam.texts)
    assert result.bytes == sum(len(text.encode()) for text in exam.texts)


def test_finite_weights_that_give_no_finite_numbers_are_refused_in_a_sentence(
    exam: Exam, tmp_path: Path
) -> None:
    network = random_decoder(270)
    with torch.no_grad():
        network.norm.weight.fill_(3e38)
    export_model(network, network.config, exam.model, SEQUENCE_LENGTH, tmp_path / "model")
    job = exam.job(tmp_path, EvaluationConfig()).model_copy(update={"model": tmp_path / "model"})
    with pytest.raises(ModelError, match=r"bits_per_byte of held-out text is nan in .* finite"):
        evaluate(job)
    writer = _writer(tmp_path / "model")
    with pytest.raises(ModelError, match="next token is no number; expected finite numbers"):
        writer.continue_texts(["the"], max_new_tokens=1, sampling=Sampling())


def test_the_figures_are_those_of_a_plain_computation(
    exam: Exam, tmp_path: Path, precision: ComputePrecision
) -> None:
    # With a stride of one token each has all the context there is.
    result = evaluate(exam.job(tmp_path, EvaluationConfig(stride=1, samples=0)))
    of_documents = torch.tensor(_plain_nats(exam))
    nats = of_documents.sum()
    assert result.precision == precision
    # bf16 rounds by the shape of the batch.
    near = {"fp32": 1e-5, "bf16": 5e-3}[precision]
    assert result.figures["loss"] == pytest.approx(float(nats / result.predictions), rel=near)
    assert result.figures["perplexity"] == pytest.approx(math.exp(result.figures["loss"]))
    bits = nats / torch.tensor(2.0).log() / result.bytes
    assert result.score == pytest.approx(float(bits), rel=near)
    # Each of these documents is one block.
    blocks = read_blocks(tmp_path)
    found = torch.from_numpy(blocks.statistics[:, 0]) * math.log(2)
    torch.testing.assert_close(found.float(), of_documents, rtol=10 * near, atol=near)
    assert blocks.predictions.tolist() == list(map(len, _tokens(exam)))


def test_sums_over_blocks_give_the_figure_that_decides(exam: Exam, tmp_path: Path) -> None:
    texts = ["".join(exam.texts) * 8, exam.texts[0], "".join(reversed(exam.texts)) * 12]
    held_out = [Document(str(number), "s", "f", "und", text) for number, text in enumerate(texts)]
    result, blocks = score_causal(_writer(exam.model), held_out, NO_SAMPLES)
    assert len(blocks) > 4 and result.documents == 3
    assert blocks.statistics.sum() / blocks.bytes.sum() == pytest.approx(result.score, rel=1e-12)
    assert blocks.predictions.sum() == result.predictions
    # A block is no better or worse for what other documents there are.
    _, alone = score_causal(_writer(exam.model), held_out[2:], NO_SAMPLES)
    torch.testing.assert_close(
        blocks.statistics[-len(alone) :], alone.statistics, rtol=1e-2, atol=1
    )


def test_what_a_tokenizer_loses_costs_eight_bits_a_byte(exam: Exam, tmp_path: Path) -> None:
    shutil.copytree(exam.model, tmp_path / "lossy")
    path = tmp_path / "lossy" / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "雨"}, "content": "e"}
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    job = exam.job(tmp_path).model_copy(update={"model": tmp_path / "lossy"})
    result, lost = evaluate(job), 3 * sum(text.count("雨") for text in exam.texts)
    assert lost and result.figures["lost_bytes"] == lost
    blocks = read_blocks(tmp_path)
    assert blocks.statistics.sum() / blocks.bytes.sum() == pytest.approx(result.score, rel=1e-12)
    bits = result.figures["loss"] * result.predictions / math.log(2) + 8 * lost
    assert result.figures["bits_per_byte"] == pytest.approx(bits / result.bytes)
    assert evaluate(exam.job(tmp_path)).figures["lost_bytes"] == 0


def test_positions_that_were_never_trained_are_not_read(exam: Exam, tmp_path: Path) -> None:
    network, found = random_network(GPT2_SHAPE, 270), []
    assert isinstance(network, GPT2)
    for name in ("as they began", "otherwise"):
        export_model(network, GPT2_SHAPE, exam.model, SEQUENCE_LENGTH, tmp_path / name)
        job = exam.job(tmp_path, EvaluationConfig(samples=3, sample_tokens=30, prompt_characters=9))
        found.append(evaluate(job.model_copy(update={"model": tmp_path / name})))
        network.embed_positions.weight.data[SEQUENCE_LENGTH:] += 1.0
    assert found[0].figures == found[1].figures
    assert found[0].samples == found[1].samples


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_changes_no_figure(exam: Exam, tmp_path: Path, batch_size: int) -> None:
    scores = [
        evaluate(exam.job(tmp_path, EvaluationConfig(batch_size=size, samples=0, precision="fp32")))
        for size in (16, batch_size)
    ]
    assert scores[0].score == pytest.approx(scores[1].score, rel=1e-5)


def test_samples_continue_passages_of_held_out_text(exam: Exam, tmp_path: Path) -> None:
    config = EvaluationConfig(samples=3, prompt_characters=20, sample_tokens=8)
    result = evaluate(exam.job(tmp_path, config))
    assert len(result.samples) == 3
    for sample in result.samples:
        assert 0 < len(sample.prompt) <= 60
        assert any(sample.prompt in text for text in exam.texts)
    assert evaluate(exam.job(tmp_path, config)).samples == result.samples


def test_a_corpus_that_holds_nothing_out_is_refused(exam: Exam, tmp_path: Path) -> None:
    layout = Layout(exam.corpus.parents[2])
    corpus = find(layout, "corpus", exam.corpus.name)
    ids = {each.id for each in read_documents(corpus.path, "validation")}
    choice = Choice("old", [corpus], "validation", 1000, 1000)
    nothing = choose_documents(layout, [choice], without=ids)
    job = exam.job(tmp_path).model_copy(update={"corpus": nothing.path})
    with pytest.raises(CorpusError, match=r"raise corpus\.validation_fraction"):
        evaluate(job)


def test_a_folder_without_model_is_refused(exam: Exam, tmp_path: Path) -> None:
    job = exam.job(tmp_path).model_copy(update={"model": tmp_path})
    with pytest.raises(ModelError, match="not a readable JSON file"):
        evaluate(job)


def test_probes_are_asked_and_their_answers_kept(exam: Exam, tmp_path: Path) -> None:
    items = [{"sentence_good": text, "sentence_bad": text[::-1]} for text in exam.texts]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    files = str(tmp_path / "pairs.jsonl")
    probe = ProbeConfig(name="reversed", files=files, kind="minimal_pairs")
    config = EvaluationConfig(samples=0, probes=(probe,))
    job = exam.job(tmp_path, config).model_copy(update={"trained_on": exam.corpus})
    found = evaluate(job)
    assert found.memorisation and evaluate(exam.job(tmp_path, config)).memorisation is None
    (result,) = found.probes
    answers = read_answers(tmp_path)["reversed"]
    assert result.accuracy == answers.right.mean()
    assert answers.items == tuple(item.digest for item in read_items(probe))
    alone = evaluate(exam.job(tmp_path, config).model_copy(update={"corpus": None}))
    assert (alone.probes, alone.documents, alone.figures) == (found.probes, 0, {})


def test_the_process_writes_its_result(exam: Exam, tmp_path: Path) -> None:
    job = exam.job(tmp_path)
    write_json_value(tmp_path / "job.json", job)
    subprocess.run(evaluation_command(tmp_path / "job.json"), check=True, timeout=60)
    result = read_json(EvaluationResult, tmp_path / "result.json")
    expected = evaluate(job)
    assert result.score == pytest.approx(expected.score, rel=5e-3)
    assert result.predictions == expected.predictions


def test_the_process_says_in_one_sentence_that_there_is_no_model(
    exam: Exam, tmp_path: Path
) -> None:
    job = exam.job(tmp_path).model_copy(update={"model": tmp_path / "nothing"})
    write_json_value(tmp_path / "job.json", job)
    command = evaluation_command(tmp_path / "job.json")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == INPUT_ERROR
    assert done.stderr.count("\n") == 1
    assert "nothing/config.json is not a readable JSON file" in done.stderr
    assert not (tmp_path / "result.json").exists()


def test_an_answer_streams_as_it_is_given_whole(exam: Exam) -> None:
    model, most = load_answerer(exam.model), 0
    for seed in range(5):
        limits: dict[str, Any] = {
            "max_new_tokens": 30,
            "sampling": Sampling(temperature=2.0, seed=seed),
        }
        pieces = list(model.stream("The people", **limits))
        assert model.answers(["The people"], **limits) == ["".join(pieces)]
        most = max(most, len(pieces))
    assert most > 5


def test_no_piece_of_an_answer_ends_within_a_character(exam: Exam) -> None:
    tokenizer, text = load_tokenizer(exam.model), "a 一条狗 🐕 b"
    tokens = [(0, token) for token in tokenizer.encode(text, add_special_tokens=False).ids]
    pieces = list(text_pieces(iter(tokens), tokenizer, skip_special_tokens=True))
    assert "".join(pieces) == text
    assert "一" in pieces and "🐕" in pieces
    # What was begun and never ended is shown in the end.
    assert "".join(text_pieces(iter(tokens[:4]), tokenizer, skip_special_tokens=True)) != "a 一"
