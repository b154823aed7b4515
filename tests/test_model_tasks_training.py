"""Labels are learned by the same training process: the same losses, exact resumption, two ranks."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from corpusmill.flows.overrides import override
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.tasks.folder import load_labeller
from corpusmill.model.tasks.prediction import Predictor
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.layout import RunLayout
from tests.labelled import examples_of, write_rows
from tests.networks import BERT_SHAPE, DECODER, TRANSFORMER
from tests.training_runs import (
    SHORT,
    Workshop,
    finish_all,
    losses,
    open_workshop,
    records,
    stop_after,
    weights,
)

pytestmark = pytest.mark.training
TRAIN = override(
    SHORT,
    {
        "optimizer.name": "adamw",
        "optimizer.learning_rate": 0.003,
        "validation.every": 5,
        "validation.windows": 40,
        "checkpoint_every": 5,
        "max_steps": 60,
    },
)
DROPPED = override(TRAIN, {"dropout": 0.1, "label_smoothing": 0.1})
PAIR = override(TRAIN, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2})
SHARDED = override(PAIR, {"hardware.parallelism": "fsdp"})
STOPPED = override(
    TRAIN,
    {
        "optimizer.learning_rate": 0.006,
        "optimizer.layer_decay": 0.7,
        "schedule.name": "inverse_sqrt",
        "max_steps": 400,
        "validation.early_stopping": 8,
    },
)
STOPPED_PAIR = override(STOPPED, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2})
STOPPED_SHARDED = override(STOPPED_PAIR, {"hardware.parallelism": "fsdp"})
FULL = MethodConfig()
SHAPES: dict[str, tuple[ModelConfig, str]] = {
    "decoder": (DECODER, "bpe"),
    "bert": (BERT_SHAPE, "wordpiece"),
    "transformer": (TRANSFORMER, "unigram"),
}
# The shape to start from, how it trains, and by which method.
RUNS: dict[str, tuple[str, TrainConfig, MethodConfig]] = {
    **{name: (name, TRAIN, FULL) for name in SHAPES},
    "two processes": ("bert", PAIR, FULL),
    "sharded": ("bert", SHARDED, FULL),
    "head": ("decoder", TRAIN, MethodConfig(name="head")),
    "head, sharded": ("decoder", SHARDED, MethodConfig(name="head")),
    "embeddings": ("decoder", TRAIN, MethodConfig(begins="embeddings")),
    "scratch": ("decoder", TRAIN, MethodConfig(begins="scratch")),
    "mean": ("bert", TRAIN, MethodConfig(pooling="mean")),
    "weighted": ("bert", TRAIN, MethodConfig(class_weights=True)),
    "dropped": ("decoder", DROPPED, FULL),
    "dropped, cut": ("decoder", DROPPED, FULL),
    "stopped": ("decoder", STOPPED, FULL),
    "stopped, cut": ("decoder", STOPPED, FULL),
    "stopped, two processes": ("decoder", STOPPED_PAIR, FULL),
    "stopped, sharded": ("decoder", STOPPED_SHARDED, FULL),
}
_KINDS = {"river": "water", "lake": "water", "tower": "stone", "wall": "stone"}


def _start(root: Path, name: str) -> Workshop:
    """A network of noise in the folder `start` of a workshop, with its tokenizer."""
    shape, algorithm = SHAPES[name]
    given = {"family": shape.family, "algorithm": algorithm, "vocab_size": 400}
    (root / name).mkdir()
    place = open_workshop(root / name, TokenizerConfig.model_validate(given), list(_KINDS))
    network: LanguageModel = build_network(shape, 400)
    network.init_weights(seed=0)
    export_model(network, shape, root / name / "tokenizer", 32, root / name / "start")
    return place


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, generator = tmp_path_factory.mktemp("examples"), random.Random(0)
    rows = []
    for number in range(240):
        word = generator.choice(list(_KINDS))
        around = [str(generator.randrange(1000)) for _ in range(6)]
        around[generator.randrange(6)] = word
        rows.append((f"{number} {' '.join(around)}", _KINDS[word]))
    return examples_of(root, train=write_rows(root / "rows.jsonl", rows), similarity=1.0).path


@pytest.fixture(scope="module")
def runs(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunLayout]:
    root = tmp_path_factory.mktemp("starts")
    places = {name: _start(root, name) for name in SHAPES}
    layouts = {}
    for name, (start, train, method) in RUNS.items():
        folder = places[start].root / "start"
        layouts[name] = places[start].prepare(
            name,
            train,
            shards=None,
            model=None,
            tokenizer=folder,
            initialize_from=folder,
            examples=examples,
            method=method,
        )
    stop_after([layouts["dropped, cut"], layouts["stopped, cut"]], 25)
    finish_all(list(layouts.values()))
    return layouts


@pytest.mark.parametrize("name", SHAPES)
def test_every_family_learns_what_a_word_means(name: str, runs: dict[str, RunLayout]) -> None:
    found = losses(runs[name], "validation/loss")
    assert found[0] > 0.5
    assert found[-1] < 0.3


@pytest.mark.parametrize("name", ["two processes", "sharded"])
def test_the_shape_of_a_run_changes_nothing_it_learns(
    name: str, runs: dict[str, RunLayout]
) -> None:
    assert losses(runs[name]) == pytest.approx(losses(runs["bert"]), rel=2e-4, abs=2e-5)


def test_heads_alone_learn_alike_on_a_sharded_body(runs: dict[str, RunLayout]) -> None:
    expected = pytest.approx(losses(runs["head"]), rel=2e-4)
    assert losses(runs["head, sharded"]) == expected


def test_a_run_that_was_cut_ends_with_the_bytes_of_one_that_was_not(
    runs: dict[str, RunLayout],
) -> None:
    assert weights(runs["dropped, cut"]) == weights(runs["dropped"])
    assert losses(runs["dropped, cut"]) == losses(runs["dropped"])


def test_the_weights_of_the_best_figure_are_exported_of_equals_those_of_the_lowest_loss(
    runs: dict[str, RunLayout],
) -> None:
    (stopped,) = records(runs["stopped"], "stopped_early")
    judged = [losses(runs["stopped"], f"validation/{name}") for name in ("accuracy", "loss")]
    best = max(range(len(judged[0])), key=lambda number: (judged[0][number], -judged[1][number]))
    assert stopped["best_step"] == 5 * (best + 1) == stopped["step"] - 8 * 5 < 360
    assert (stopped["best_figure"], stopped["best_loss"]) == (judged[0][best], judged[1][best])
    kept = runs["stopped"].checkpoints / f"step-{stopped['best_step']:08d}" / "model.safetensors"
    learned = load_file(kept)
    for name, parameter in load_labeller(runs["stopped"].model)[0].named_parameters():
        assert torch.equal(learned[name][: len(parameter)], parameter), name


@pytest.mark.parametrize("name", ["stopped, two processes", "stopped, sharded"])
def test_all_processes_stop_after_the_same_step(name: str, runs: dict[str, RunLayout]) -> None:
    expected, found = (losses(runs[each], "validation/loss") for each in ("stopped", name))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_run_that_was_cut_remembers_its_best_figure(runs: dict[str, RunLayout]) -> None:
    assert records(runs["stopped, cut"], "resumed")
    whole, cut = (records(runs[name], "stopped_early") for name in ("stopped", "stopped, cut"))
    assert [{**each, "time": 0} for each in cut] == [{**each, "time": 0} for each in whole]
    assert weights(runs["stopped, cut"]) == weights(runs["stopped"])


def test_of_a_frozen_body_the_head_alone_learns(runs: dict[str, RunLayout]) -> None:
    begun = dict(load_labeller(runs["head"].model)[0].body.named_parameters())
    other = dict(load_labeller(runs["decoder"].model)[0].body.named_parameters())
    assert not begun["layers.0.mlp.down_proj.weight"].any()  # as noise begins
    assert other["layers.0.mlp.down_proj.weight"].any()
    found = losses(runs["head"])
    assert found[-1] < found[0]


def test_what_a_network_begins_with_decides_its_losses(runs: dict[str, RunLayout]) -> None:
    every = [tuple(losses(runs[name])) for name in ("decoder", "dropped", "mean", "weighted")]
    assert len(set(every)) == 4


def test_answers_come_in_the_order_of_the_texts(runs: dict[str, RunLayout]) -> None:
    predictor = Predictor(runs["decoder"].model, "fp32")
    texts = ["1 2 river 3", "4 wall " + "5 " * 20, "6 tower", "7 8 9 lake 10 11 12"]
    answers = predictor.answer(texts)
    assert predictor.head.labels == ("stone", "water")
    assert answers.argmax(1).tolist() == [1, 0, 0, 1]
    for text, row in zip(texts, answers, strict=True):
        assert predictor.answer([text])[0] == pytest.approx(row, abs=1e-5)


def test_a_text_of_any_length_is_answered(runs: dict[str, RunLayout]) -> None:
    predictor = Predictor(runs["bert"].model, "fp32")
    answers = predictor.answer(["", "river " * 200_000, "\x00", "好" * 1000])
    assert answers.shape == (4, 2)
    assert answers.sum(1) == pytest.approx(1)
