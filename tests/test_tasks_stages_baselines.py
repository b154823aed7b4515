"""Baselines: what they predict, that it is kept and always the same, and what they refuse."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from corpusmill.model.baselines.config import BaselineConfig, BaselineJob
from corpusmill.model.baselines.features import is_unspaced
from corpusmill.model.baselines.fitting import fit_baseline
from corpusmill.model.tasks.metrics import figures_of
from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.predictions import (
    Label,
    Predictions,
    predictions_path,
    read_predictions,
)
from corpusmill.storage.examples.schema import Side, TaskKind
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.baselines import make_baseline
from tests.labelled import Labelled, publish_examples

TFIDF, MAJORITY = BaselineConfig(name="tfidf"), BaselineConfig(name="majority")
WORDS = {"sport": "ball goal team match win", "trade": "stock price bank share market"}
NAMES = ["trade", "sport", "never"]


def rows(count: int, seed: int, odds: float = 0.75) -> list[Labelled]:
    """Texts of some words, most of which their label has by itself."""
    generator = np.random.default_rng(seed)
    made: list[Labelled] = []
    for _ in range(count):
        label = "sport" if generator.random() < odds else "trade"
        words = [*generator.choice(WORDS[label].split(), 3), *generator.choice(list("abcdef"), 2)]
        made.append((" ".join(words), None, label))
    return made


def examples(
    tmp_path: Path, kind: TaskKind, made: Sequence[Labelled], names: Sequence[str] = ()
) -> Ref:
    third = len(made) // 3
    sides: dict[Side, Sequence[Labelled]] = {
        "train": made[:third],
        "validation": made[third : 2 * third],
        "test": made[2 * third :],
    }
    return publish_examples(tmp_path / "examples", kind, sides, names)


def fitted(tmp_path: Path, made: Ref, config: BaselineConfig) -> Predictions:
    """What it predicts of the test side."""
    job = BaselineJob(directory=tmp_path / "out", examples=made.path, baseline=config)
    fit_baseline(job)
    return read_predictions(predictions_path(job.directory, "test"))


def test_the_majority_says_what_is_most_frequent_and_how_often(tmp_path: Path) -> None:
    made = rows(90, 0)
    found = fitted(tmp_path, examples(tmp_path, "classification", made, NAMES), MAJORITY)
    share = sum(label == "sport" for *_, label in made[:30]) / 30
    assert found.labels == ("trade", "sport", "never")
    assert found.scores[0].tolist() == pytest.approx([1 - share, share, 0])
    assert figures_of(found)["accuracy"] == np.mean([label == "sport" for *_, label in made[-30:]])


def test_words_tell_labels_and_one_that_no_example_has_gets_nothing(tmp_path: Path) -> None:
    found = fitted(tmp_path, examples(tmp_path, "classification", rows(90, 1), NAMES), TFIDF)
    assert figures_of(found)["accuracy"] == 1
    assert (found.scores[:, 2] == 0).all()
    assert found.scores.sum(1) == pytest.approx(np.ones(30))


def test_of_one_label_alone_nothing_else_is_said(tmp_path: Path) -> None:
    made = [(text, None, "sport") for text, *_ in rows(9, 0)]
    found = fitted(tmp_path, examples(tmp_path, "classification", made, NAMES), TFIDF)
    assert (found.scores == [0, 1, 0]).all()


@pytest.mark.parametrize("config", [TFIDF, MAJORITY])
def test_several_labels_are_told_one_by_one(tmp_path: Path, config: BaselineConfig) -> None:
    made: list[Labelled] = []
    for (one, _, first), (other, _, second) in zip(rows(90, 2, 0.5), rows(90, 3, 0.5), strict=True):
        labels: Label = sorted({str(first), str(second)})
        made.append((f"{one} {other}", None, labels))
    found = fitted(tmp_path, examples(tmp_path, "several", made, NAMES), config)
    figures = figures_of(found)
    assert (figures["f1_micro"] > 0.95) == (config is TFIDF)
    assert (found.scores[:, 2] == 0).all()


@pytest.mark.parametrize("pairs", [True, False])
def test_numbers_follow_from_words_and_of_pairs_from_likeness(tmp_path: Path, pairs: bool) -> None:
    made: list[Labelled] = []
    for number, (text, *_) in enumerate(rows(90, 4)):
        same = number % 5
        kept = " ".join([*text.split()[:same], *["other"] * (5 - same)])
        made.append((text, kept, float(same)) if pairs else (kept, None, float(same)))
    found = fitted(tmp_path, examples(tmp_path, "regression", made), TFIDF)
    assert figures_of(found)["spearman"] > 0.85
    flat = fitted(tmp_path / "flat", Ref("examples", "", tmp_path / "examples"), MAJORITY)
    assert set(flat.scores.tolist()) == {2.0} and figures_of(flat)["spearman"] == 0


def test_a_pair_is_told_by_what_its_texts_share(tmp_path: Path) -> None:
    # No word tells by itself: each stands in pairs of both labels.
    generator = np.random.default_rng(5)
    texts = ["".join(generator.choice(list("天地玄黄宇宙洪荒日月"), 6)) for _ in range(241)]
    made: list[Labelled] = [
        (text, text[::-1] if number % 2 else texts[number + 1], "same" if number % 2 else "other")
        for number, text in enumerate(texts[:-1])
    ]
    found = fitted(tmp_path, examples(tmp_path, "classification", made, ["other", "same"]), TFIDF)
    assert figures_of(found)["auc"] > 0.9


def test_characters_are_weighed_where_a_script_sets_no_spaces() -> None:
    assert is_unspaced(["房间很大", "WiFi 不好用"])
    assert not is_unspaced(["The room 房间 was large", "123 456"])


def test_a_baseline_is_kept_and_made_again_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "corpusmill")
    made = examples(tmp_path, "classification", rows(90, 6), NAMES)
    layout = Layout(tmp_path / "store")
    first = make_baseline(layout, made, TFIDF)
    assert make_baseline(layout, made, TFIDF) == first and "reused" in caplog.text
    other = make_baseline(Layout(tmp_path / "other"), made, TFIDF)
    assert content_digest(other) == content_digest(first)
    assert read_manifest(first.path)["counts"]["examples"] == 30
    fewer = make_baseline(layout, made, BaselineConfig(name="tfidf", share=0.2))
    assert fewer.digest != first.digest
    assert read_manifest(fewer.path)["counts"]["examples"] == 6
    lines = predictions_path(first.path, "validation").read_text().splitlines()
    assert json.loads(lines[0])["id"] == "validation-0"


@pytest.mark.parametrize(
    ("made", "names", "said"),
    [
        ([], NAMES, "has no training example; expected one at least"),
        ([("!", None, "sport")] * 3, NAMES, "hold nothing to weigh .* expected words in some"),
        ([("ball", None, "else")] * 3, NAMES, "the label 'else' is none of trade, sport, never"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused_in_a_sentence(
    tmp_path: Path, made: list[Labelled], names: list[str], said: str
) -> None:
    examples_ref = examples(tmp_path, "classification", made, names)
    with pytest.raises(InputError, match=said):
        fitted(tmp_path, examples_ref, TFIDF)
