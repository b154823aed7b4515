"""How figures of answers are written: as many digits as so many examples carry."""

from collections.abc import Mapping

from corpusmill.storage import metrics
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.tasks.stages.predictions import Difference, Figure

# Shares of examples, or means of such: in per cent, and gains in points.
_SHARES = {metrics.ACCURACY, metrics.F1_MICRO, metrics.F1_MACRO, metrics.F1}
_FIGURES: Mapping[str, str] = {
    metrics.SPEARMAN: "Spearman's correlation",
    metrics.F1_MICRO: "F1 of all labels",
}
_SYSTEMS: Mapping[str, str] = {
    "tfidf": "TF-IDF",
    "majority": "the most frequent label",
    "scratch": "the same from random weights",
    "embeddings": "pretrained embeddings alone",
    "mean with tfidf": "its mean with TF-IDF",
}


def in_words(name: str) -> str:
    """A figure as a person calls it."""
    return _FIGURES.get(name, name.replace("_", " "))


def named(system: str, kind: TaskKind) -> str:
    """An opponent as a person calls it."""
    if system == "majority" and kind == "regression":
        return "the mean of all"
    return _SYSTEMS.get(system, system)


def figure(name: str, value: float) -> str:
    """A figure: 87.6 %, or 0.683."""
    return f"{100 * value:.1f} %" if name in _SHARES else f"{value:.3f}"


def points(name: str, gain: float) -> str:
    """A difference of two figures: +1.9 points, or +0.019."""
    return f"{100 * gain:+.1f} points" if name in _SHARES else f"{gain:+.3f}"


def interval(name: str, found: Figure) -> str:
    """Where another draw of examples would have it."""
    if found.low != found.low:
        return "not known"
    return f"{figure(name, found.low).rstrip(' %')} to {figure(name, found.high)}"


def points_between(name: str, gain: Difference) -> str:
    """Where another draw of examples would have a difference."""
    if gain.low != gain.low:
        return "not known"
    return f"{points(name, gain.low).removesuffix(' points')} to {points(name, gain.high)}"
