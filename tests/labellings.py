"""What was learned from labels, made up, with this text wherever text of others stands."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from corpusmill.model.tasks.metrics import deciding
from corpusmill.model.tasks.reliability import reliability, unscaled
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.examples.schema import Side, TaskKind
from corpusmill.tasks.registration import Promotion
from corpusmill.tasks.reports.labels.findings import Findings, Shown, cut
from corpusmill.tasks.stages.answers import Row, System, table_of
from corpusmill.tasks.stages.learning_curve import Learner, Point
from corpusmill.tasks.stages.mistakes import worst_mistakes
from corpusmill.tasks.stages.predictions import Figure
from corpusmill.tasks.stages.search import Trial, Tried
from corpusmill.tasks.stages.slices import OfLength, by_label, by_length, confusion

_EXAMPLES = 100
_SKILL = 0.4


def answers(kind: TaskKind, names: Sequence[str], skill: float, seed: int = 0) -> Predictions:
    """What a system of this skill, 0 to 1, says of the same examples."""
    generator, labels = np.random.default_rng(seed), max(1, len(names))
    truth = np.random.default_rng(99)
    ids = tuple(f"test-{number}" for number in range(_EXAMPLES))
    if kind == "regression":
        gold = truth.uniform(0, 5, _EXAMPLES)
        said = skill * gold + (1 - skill) * generator.uniform(0, 5, _EXAMPLES)
        return Predictions(kind, (), ids, gold, said)
    noise = generator.normal(size=(_EXAMPLES, labels))
    if kind == "several":
        held = truth.random((_EXAMPLES, labels)) < 0.3
        logits = noise + 6 * skill * (held - 0.5)
        return Predictions(kind, tuple(names), ids, held, 1 / (1 + np.exp(-logits)))
    number = truth.integers(labels, size=_EXAMPLES)
    weights = np.exp(noise + 4 * skill * (np.arange(labels) == number[:, None]))
    return Predictions(kind, tuple(names), ids, number, weights / weights.sum(1, keepdims=True))


def system(name: str, kind: TaskKind, names: Sequence[str], skill: float, seed: int = 0) -> System:
    """A system with these answers on both sides."""
    said = answers(kind, names, skill, seed)
    return System(name, said, said)


def labelling(
    text: str = "x",
    kind: TaskKind = "classification",
    labels: int = 2,
    promotion: Promotion | None = None,
) -> Findings:
    """The findings of a fine-tuning with so many labels."""
    # No name is as long as a text may be.
    name = text[:200]
    names = [f"{number} {name}" for number in range(labels)] if kind != "regression" else []
    said = answers(kind, names, _SKILL)
    rows, lengths = _judged(kind, labels)
    numbers = kind == "regression"
    shown = [
        Shown(each, cut(text), (cut(text), name, 0.5) if row % 2 else None)
        for row, each in enumerate(worst_mistakes(said, 20))
    ]
    return Findings(
        name=name,
        version="3",
        promotion=promotion or Promotion("promoted", f"champion; better than {name}", "3"),
        side="test",
        decides=deciding(kind, labels).name,
        rows=rows,
        said=said,
        before=() if numbers else reliability(unscaled(said, 2.0)),
        after=() if numbers else reliability(said),
        lengths=lengths,
        labels=[] if numbers else by_label(said),
        confused=confusion(said) if kind == "classification" else None,
        curves=curves(),
        mistakes=shown,
        counts=counts(name, names),
        flow_run_url="http://here/run",
        mlflow_url="http://here/mlflow",
        tried=tried(deciding(kind, labels).name, text),
    )


def tried(decides: str, failed: str) -> list[Tried]:
    """Two trials of a search, of which one failed, and why."""
    first, second = (Trial({"epochs": each}, TrainConfig(max_steps=1000 * each)) for each in (4, 8))
    return [Tried(first, {decides: 0.8, "nll": 0.5}), Tried(second, {}, failed)]


@cache
def _judged(kind: TaskKind, labels: int) -> tuple[dict[Side, list[Row]], list[OfLength]]:
    """Tables and lengths, which take seconds to draw again and again."""
    names = [f"{number}" for number in range(labels)]
    mine, tfidf = system("candidate", kind, names, _SKILL), system("tfidf", kind, names, 0.45, 1)
    others = [
        system("majority", kind, names, 0.0, 2),
        tfidf,
        system("scratch", kind, names, 0.25, 3),
        system("embeddings", kind, names, 0.3, 4),
        mine.with_mean(tfidf, "mean with tfidf"),
    ]
    said = mine.validation
    texts = [str(10**number) for number in range(len(said))]
    some = Examples(list(said.ids), texts, None, texts, texts)
    table = table_of(mine, others, "test")
    quarters = by_length(said, tfidf.test, some, deciding(kind, labels))
    return {"validation": table, "test": table}, quarters


def curves() -> dict[Learner, Sequence[Point]]:
    """Figures at 1, 5, 20 and 100 per cent."""
    values: dict[Learner, tuple[float, ...]] = {
        "pretrained": (0.5, 0.6, 0.7, 0.75),
        "scratch": (0.45, 0.5, 0.6, 0.68),
        "tfidf": (0.55, 0.65, 0.73, 0.8),
    }
    shares = (0.01, 0.05, 0.2, 1.0)
    return {
        name: [
            Point(share, round(9_000 * share), Figure(value, value - 0.03, value + 0.03))
            for share, value in zip(shares, each, strict=True)
        ]
        for name, each in values.items()
    }


def counts(text: str, names: Sequence[str]) -> dict[str, Any]:
    """As the manifest of examples has them."""
    side = {"in": 12, "kept": 10, "dropped": {"duplicate": 1, "conflicting_label": 1}}
    return {
        "train": side,
        "validation": {"in": 10, "kept": 10, "dropped": {}},
        "test": {"in": 11, "kept": 10, "dropped": {"unseen_label": 1}},
        "labels": {name: {"train": 1} for name in names},
        "unseen_labels": {text: 1},
        "overlaps": {
            "test_in_train": {"same": 3, "copies": 4, "examples": 11},
            "corpora": {"0123456789abcdef": {"test": {"copies": 2, "examples": 11}}},
        },
    }
