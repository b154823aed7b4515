"""Learning curves: a share is the same in training and in the baseline; what is saved."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.build import build_network
from corpusmill.model.tasks.config import HeadConfig, MethodConfig
from corpusmill.model.tasks.labelled import LabelledTexts, open_labelled
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.reading import read_examples
from corpusmill.storage.examples.subsets import read_training
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.answers import read_system
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.finetuning import teach
from corpusmill.tasks.stages.learning_curve import (
    LEARNERS,
    Learner,
    make_learning_curve,
    points_of,
    share_needed,
    share_that_equals,
    with_share,
)
from corpusmill.tasks.stages.origin import bring_model
from tests.corpora import speeches
from tests.labelled import Labelled, publish_examples
from tests.networks import DECODER

TRAIN = TrainConfig.model_validate(
    {
        "max_steps": 24,
        "sequence_length": 16,
        "global_batch_size": 16,
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "wsd", "warmup_steps": 2},
        "validation": {"every": 12, "windows": 20},
        "hardware": {
            "micro_batch_size": 16,
            "num_processes": 1,
            "precision": "fp32",
            "compile": "never",
        },
    }
)
KINDS = ["water", "stone"]


def rows(count: int, seed: int) -> list[Labelled]:
    generator = np.random.default_rng(seed)
    kinds = generator.integers(2, size=count)
    return [(f"{generator.integers(1000)} {KINDS[kind]}", None, KINDS[kind]) for kind in kinds]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def examples(layout: Layout) -> Ref:
    sides = {"train": rows(120, 0), "validation": rows(20, 1), "test": rows(20, 2)}
    return publish_examples(layout.root / "examples", "classification", sides, KINDS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def start(layout: Layout) -> Ref:
    folder = layout.root / "start"
    (layout.root / "tokenizer").mkdir()
    texts = [*speeches(1), *KINDS]
    train_tokenizer(texts, TokenizerConfig(vocab_size=400), layout.root / "tokenizer")
    network = build_network(DECODER, 400)
    # Other noise than that a network from random weights begins with.
    network.init_weights(seed=1)
    export_model(network, DECODER, layout.root / "tokenizer", 16, folder)
    return bring_model(layout, str(folder), tokenizer=True)


def opened(examples: Ref, start: Ref, share: float) -> LabelledTexts:
    head = HeadConfig(kind="classification", labels=tuple(KINDS), pooling="last")
    return open_labelled(examples.path, start.path, "causal_lm", 16, head, "train", share=share)


def test_networks_learn_from_the_examples_that_the_baseline_does(
    layout: Layout, examples: Ref, start: Ref
) -> None:
    for share in (0.15, 0.5, 1.0):
        texts = opened(examples, start, share)
        baseline = make_baseline(layout, examples, BaselineConfig(name="tfidf", share=share))
        learned = read_manifest(baseline.path)["counts"]["examples"]
        assert texts.sizes == [learned] == [round(120 * share)]
        ids = read_training(examples.path, share).ids
        assert set(ids) <= set(read_examples(examples.path, "train").ids)
        some = read_training(examples.path, share / 2).ids
        assert set(some) < set(ids)
    # Not cut off by share are the other sides.
    head = HeadConfig(kind="classification", labels=tuple(KINDS), pooling="last")
    texts = open_labelled(examples.path, start.path, "causal_lm", 16, head, "test", share=0.15)
    assert texts.sizes == [20]


@pytest.mark.training
def test_a_curve_is_made_once_by_processes_side_by_side(
    layout: Layout, examples: Ref, start: Ref
) -> None:
    def made() -> dict[Learner, list[tuple[float, int, str]]]:
        curve = make_learning_curve(
            layout, start, examples, MethodConfig(), TRAIN, (0.01, 0.5, 0.2), processors=2
        )
        assert tuple(curve) == LEARNERS
        return {
            name: [(each.share, each.examples, each.answers.digest) for each in points]
            for name, points in curve.items()
        }

    first = made()
    # One per cent is a single example, of which nothing is learned.
    for points in first.values():
        assert [point[:2] for point in points] == [(0.2, 24), (0.5, 60)]
    assert len({point[2] for points in first.values() for point in points}) == 6
    assert made() == first
    tfidf = BaselineConfig(name="tfidf", share=0.2)
    assert make_baseline(layout, examples, tfidf).digest == first["tfidf"][0][2]


@pytest.mark.training
def test_the_last_point_of_a_curve_is_of_all_labels(
    layout: Layout, examples: Ref, start: Ref
) -> None:
    curve = make_learning_curve(
        layout, start, examples, MethodConfig(), TRAIN, (0.5,), processors=2
    )  # as it was made above
    _, answers = teach(layout, start, examples, MethodConfig(), TRAIN, processors=1)
    mine = read_system("pretrained", answers, tested=True)
    all_alike = dict.fromkeys(LEARNERS, mine)
    points = points_of(curve, all_alike, examples, "test")
    assert [(each.share, each.examples) for each in points["tfidf"]] == [(0.5, 60), (1.0, 120)]
    assert points["pretrained"][1] == points["scratch"][1]
    assert mine.test and points["tfidf"][1].figure.value > 0.8
    assert share_needed(points, "scratch") is not None


def test_few_labels_are_passed_over_more_often() -> None:
    hundredth = with_share(TRAIN, 0.01)
    assert (hundredth.max_steps, hundredth.schedule.warmup_steps) == (2, 0)
    assert hundredth.validation.every == 1
    quarter = with_share(TRAIN, 0.25)
    assert (quarter.max_steps, quarter.schedule.warmup_steps) == (12, 1)
    assert quarter.optimizer == TRAIN.optimizer and quarter.seed == TRAIN.seed
    assert with_share(TRAIN, 1e-9).max_steps == 2


@pytest.mark.parametrize(
    ("figures", "wanted", "share"),
    [
        ([0.5, 0.7, 0.9], 0.7, 0.1),
        ([0.5, 0.7, 0.9], 0.8, 0.1 * 10**0.5),
        ([0.5, 0.7, 0.9], 0.95, None),
        ([0.5, 0.7, 0.9], 0.4, 0.01),
        ([0.5, 0.7, 0.9], 0.9, 1.0),
        # What is above by luck and below again is not yet as good.
        ([0.8, 0.6, 0.9], 0.75, 0.1 * 10**0.5),
    ],
)
def test_the_share_is_found_between_points_by_the_logarithm(
    figures: Sequence[float], wanted: float, share: float | None
) -> None:
    found = share_that_equals(list(zip((0.01, 0.1, 1.0), figures, strict=True)), wanted)
    assert found == (share if share is None else pytest.approx(share))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(0, 1))
def test_a_share_is_always_among_those_that_were_tried(figures: list[float], wanted: float) -> None:
    points = [(2.0**-place, value) for place, value in enumerate(figures)][::-1]
    found = share_that_equals(points, wanted)
    assert found is None or points[0][0] * (1 - 1e-9) <= found <= 1 + 1e-9
    assert (found is None) == (figures[0] < wanted)
