"""Figures of labelled work, from predictions alone, as scikit-learn and scipy work them out.

No torch, and neither of those two: the training process asks for them too. Each figure is worked
out for R draws of the N examples at once, so that a bootstrap is the figure itself; a figure of all
examples is one draw of each. `times` says how often each example is drawn; float64 (R, N).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from corpusmill.model.tasks import ranking
from corpusmill.storage import metrics
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.reading import Kind

BINS = 15  # of the expected calibration error (Guo et al. 2017)
_THRESHOLD = 0.5  # from which one of several labels is said to hold


@dataclass(frozen=True)
class Metric:
    """A figure.

    Attributes:
        name: of it.
        reads: what it reads of each example; float64 (N, columns).
        of: its values from these rows and `times`; float64 (R,), NaN where it has none.
        higher_is_better: of that value.
    """

    name: str
    reads: Callable[[Predictions], np.ndarray]
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    higher_is_better: bool = True


def metrics_of(kind: Kind, labels: int) -> tuple[Metric, ...]:
    """The figures of a kind of labels, the one that decides first.

    Args:
        labels: how many there are.
    """
    if kind == "classification" and labels == 2:
        return _OF_TWO_LABELS
    return _BY_KIND[kind]


def deciding(kind: Kind, labels: int, name: str | None = None) -> Metric:
    """The figure by which models are chosen.

    Args:
        name: of it; accuracy, Spearman's correlation or the micro-averaged F1 by default.

    Raises:
        ConfigError: labels of this kind have no such figure.
    """
    known = {each.name: each for each in metrics_of(kind, labels)}
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise ConfigError(
            f"{name!r} is no figure of {_IN_WORDS[kind]} with {labels} labels; expected one of "
            f"{', '.join(known)}: set it to one of these, or leave it out."
        )
    return known[name]


def value_of(metric: Metric, predictions: Predictions) -> float:
    """A figure of all examples; NaN where it has none."""
    rows = metric.reads(predictions)
    return float(metric.of(rows, np.ones((1, len(rows))))[0])


def figures_of(predictions: Predictions) -> dict[str, float]:
    """All figures by name; without those that have no value, such as an AUC of one label alone."""
    found = {
        each.name: value_of(each, predictions)
        for each in metrics_of(predictions.kind, len(predictions.labels))
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}


def predicted(predictions: Predictions) -> np.ndarray:
    """What is said of each example.

    Returns:
        The number of the likeliest label, of equals the first; int64 (N,). Of several labels,
        whether each has a probability of 0.5 or more; bool (N, K).
    """
    if predictions.kind == "several":
        holds: np.ndarray = predictions.scores >= _THRESHOLD
        return holds
    likeliest: np.ndarray = predictions.scores.argmax(1)
    return likeliest


def _mean(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    mean: np.ndarray = (times * values).sum(1) / times.sum(1)
    return mean


def _mean_of_column(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    return _mean(rows[:, 0], times)


def _divided(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """0 where there is nothing to divide by."""
    share: np.ndarray = np.divide(over, under, out=np.zeros_like(over), where=under != 0)
    return share


def _right(predictions: Predictions) -> np.ndarray:
    right = predicted(predictions) == predictions.gold
    return _columns(right.all(1) if right.ndim == 2 else right)


def _gold_and_predicted(predictions: Predictions) -> np.ndarray:
    return _columns(predictions.gold, predicted(predictions))


def _is_last(predictions: Predictions) -> np.ndarray:
    """Whether gold and predicted label are the positive one."""
    return _columns(predictions.gold == 1, predicted(predictions) == 1)


def _gold_probability(predictions: Predictions) -> np.ndarray:
    return _columns(predictions.scores[np.arange(len(predictions)), predictions.gold])


def _confidence(predictions: Predictions) -> np.ndarray:
    return _columns(predictions.scores.max(1), predicted(predictions) == predictions.gold)


def _positive_score(predictions: Predictions) -> np.ndarray:
    return _columns(predictions.scores[:, 1], predictions.gold == 1)


def _all_scores(predictions: Predictions) -> np.ndarray:
    """Scores of the labels, then which of them hold."""
    gold = predictions.gold
    holds = gold if gold.ndim == 2 else gold[:, None] == np.arange(len(predictions.labels))
    return _columns(*predictions.scores.T, *holds.T)


def _gold_and_said(predictions: Predictions) -> np.ndarray:
    """Which of several labels hold, then which are said to."""
    return _columns(*predictions.gold.T, *predicted(predictions).T)


def _right_and_all(predictions: Predictions) -> np.ndarray:
    """Of several labels, how many are rightly said to hold; how many hold and are said to."""
    gold, said = predictions.gold, predicted(predictions)
    return _columns((gold & said).sum(1), gold.sum(1) + said.sum(1))


def _values(predictions: Predictions) -> np.ndarray:
    return _columns(predictions.gold, predictions.scores)


def _columns(*values: np.ndarray) -> np.ndarray:
    return np.column_stack([each.astype(np.float64) for each in values])


def _confusion(rows: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each label is right, gold and predicted; each float64 (R, labels)."""
    labels = np.arange(int(rows.max()) + 1)
    gold, said = ((rows[:, [column]] == labels).astype(np.float64) for column in (0, 1))
    return times @ (gold * said), times @ gold, times @ said


def _f1_of_last(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    right = times @ (rows[:, 0] * rows[:, 1])
    return _divided(2 * right, times @ rows.sum(1))


def _f1_macro(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean over the labels that are gold or predicted."""
    right, gold, said = _confusion(rows, times)
    mean: np.ndarray = _divided(2 * right, gold + said).sum(1) / (gold + said > 0).sum(1)
    return mean


def _matthews(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The correlation of Matthews for any number of labels (Gorodkin 2004)."""
    right, gold, said = _confusion(rows, times)
    examples = times.sum(1)
    covariance = right.sum(1) * examples - (gold * said).sum(1)
    spread = (examples**2 - (said**2).sum(1)) * (examples**2 - (gold**2).sum(1))
    return _divided(covariance, np.sqrt(spread))


def _nll(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Nats; what is taken for impossible costs 36, as in scikit-learn."""
    least = np.finfo(np.float64).eps
    return _mean(-np.log(rows[:, 0].clip(least, 1 - least)), times)


def _ece(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How far confidence and accuracy are apart in 15 bins of confidence, open below."""
    confidence, right = rows.T
    bins = np.ceil(confidence * BINS).clip(1, BINS) - 1
    apart = (bins[:, None] == np.arange(BINS)) * (right - confidence)[:, None]
    error: np.ndarray = np.abs(times @ apart).sum(1) / times.sum(1)
    return error


def _f1_micro(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    right, every = (times @ rows).T
    return _divided(2 * right, every)


def _f1_macro_of_several(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean over all labels; 0 of one that neither holds nor is said to."""
    gold, said = np.split(rows, 2, axis=1)
    mean: np.ndarray = _divided(2 * (times @ (gold * said)), times @ (gold + said)).mean(1)
    return mean


def _squared_error(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    return _mean((rows[:, 0] - rows[:, 1]) ** 2, times)


_ACCURACY = Metric(metrics.ACCURACY, _right, _mean_of_column)
_AUC = Metric(metrics.AUC, _all_scores, ranking.auc_macro)
_OF_ANY_LABELS = (
    _ACCURACY,
    Metric(metrics.F1_MACRO, _gold_and_predicted, _f1_macro),
    Metric(metrics.MATTHEWS, _gold_and_predicted, _matthews),
    Metric(metrics.NLL, _gold_probability, _nll, higher_is_better=False),
    Metric(metrics.ECE, _confidence, _ece, higher_is_better=False),
)
_OF_TWO_LABELS = (
    *_OF_ANY_LABELS,
    Metric(metrics.F1, _is_last, _f1_of_last),
    Metric(metrics.AUC, _positive_score, ranking.auc),
)
_BY_KIND: dict[Kind, tuple[Metric, ...]] = {
    "classification": (*_OF_ANY_LABELS, _AUC),
    "regression": (
        Metric(metrics.SPEARMAN, _values, ranking.spearman),
        Metric(metrics.PEARSON, _values, ranking.pearson),
        Metric(metrics.MSE, _values, _squared_error, higher_is_better=False),
    ),
    "several": (
        Metric(metrics.F1_MICRO, _right_and_all, _f1_micro),
        Metric(metrics.F1_MACRO, _gold_and_said, _f1_macro_of_several),
        _ACCURACY,
        _AUC,
        Metric(metrics.AVERAGE_PRECISION, _all_scores, ranking.average_precision_macro),
    ),
}
_IN_WORDS: dict[Kind, str] = {
    "classification": "a classification",
    "regression": "a regression",
    "several": "several labels an example",
}
