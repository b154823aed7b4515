"""The parts of the report of a fine-tuning that look closer: where it is right, and where wrong."""

import numpy as np

from corpusmill.model.tasks.reliability import calibration_error
from corpusmill.tasks.reports.corpus.words import number
from corpusmill.tasks.reports.drawing import short
from corpusmill.tasks.reports.labels.diagrams import (
    NAMES,
    draw_confusion,
    draw_learning_curve,
    draw_reliability,
    draw_told,
)
from corpusmill.tasks.reports.labels.findings import Findings, Shown
from corpusmill.tasks.reports.labels.words import figure, in_words, interval
from corpusmill.tasks.reports.outline import Passage, Passages, Plot, Table
from corpusmill.tasks.stages.slices import Confused, most_confused

# From so many labels on a matrix is not read any more, and pairs are.
_MANY = 50
_BESIDE_OTHERS = 12  # labels whose matrix stands in a column
_PAIRS = 15
_LABELS = 20  # that are shown, of many
_NAME, _NAMES = 40, 120  # columns of a label's name, and of those of several


def learning_curve(found: Findings) -> Plot | None:
    """How good each learner is by the share of the labels; None where no shares were learned."""
    if len(found.curves.get("pretrained", ())) < 2:
        return None
    learners = [name for name, points in found.curves.items() if points]
    rows = [
        (
            f"{100 * point.share:g} %: {number(point.examples)}",
            *(figure(found.decides, found.curves[each][place].figure.value) for each in learners),
        )
        for place, point in enumerate(found.curves["pretrained"])
    ]
    title = "What labels are worth"
    return Plot(
        title,
        draw_learning_curve(found.curves, f"{in_words(found.decides)} on {found.side}"),
        "; ".join(f"with {row[0]} labels {row[1]} pretrained" for row in rows),
        note="On a logarithm; whiskers are intervals of 95 % over examples. Networks take √share "
        "of the steps, so that few labels are passed over more often.",
        instead=Table(title, ("labels", *(NAMES[each] for each in learners)), tuple(rows)),
    )


def calibration(found: Findings) -> Plot | None:
    """Whether it is right as often as it is sure; None of numbers."""
    if not found.after:
        return None
    before, after = (calibration_error(each) for each in (found.before, found.after))
    names = f"unscaled, ECE {before:.3f}", f"as served, ECE {after:.3f}"
    rows = (("unscaled", f"{before:.4f}"), ("as served", f"{after:.4f}"))
    title = "How sure, how often right"
    return Plot(
        title,
        draw_reliability(found.before, found.after, names),
        f"Expected calibration error {before:.3f} before scaling, {after:.3f} after",
        note="Below the dashed line it is surer than it is right. One temperature, found on "
        "validation, changes no answer. A disc is as large as the share of answers it stands for.",
        instead=Table(title, ("", "expected calibration error"), rows),
    )


def confused(found: Findings) -> Plot | Table | None:
    """Which labels are taken for which."""
    if found.confused is None:
        return None
    labels = found.said.labels
    pairs = _pairs(most_confused(found.confused, labels, _PAIRS))
    if len(labels) >= _MANY:
        return pairs
    right = int(np.trace(found.confused))
    return Plot(
        "Which label is taken for which",
        draw_confusion(found.confused, labels),
        f"{number(right)} of {number(len(found.said))} examples on the diagonal",
        note="In rows as labelled, in columns as answered; shaded by the share of the row.",
        broad=len(labels) > _BESIDE_OTHERS,
        instead=pairs,
    )


def _pairs(found: list[Confused]) -> Table:
    rows = tuple(
        (
            f"{short(each.gold, _NAME)} → {short(each.said, _NAME)}",
            number(each.examples),
            f"{each.examples / each.of:.1%}",
        )
        for each in found
    )
    return Table(
        "Which label is taken for which",
        ("labelled → answered", "examples", "of the label"),
        rows,
        note="" if rows else "None for any other.",
    )


def of_labels(found: Findings) -> Table | None:
    """How each label is found, of many those that are found worst; None of numbers."""
    if not found.labels:
        return None
    shown, note = list(found.labels), ""
    if len(shown) >= _MANY:
        shown = sorted((each for each in shown if each.gold), key=lambda each: each.f1)[:_LABELS]
        note = f"The {len(shown)} worst of {len(found.labels)} labels."
    rows = tuple(
        (
            short(each.name, _NAME),
            number(each.gold),
            number(each.said),
            f"{each.precision:.1%}",
            f"{each.recall:.1%}",
            f"{each.f1:.1%}",
        )
        for each in shown
    )
    head = ("label", "have it", "are said to", "precision", "recall", "F1")
    return Table("Label by label", head, rows, note=note, broad=True)


def lengths(found: Findings) -> Table:
    """The figure by quarters of length, beside TF-IDF's."""
    decides, beside = found.decides, any(each.beside for each in found.lengths)
    rows = tuple(
        (
            f"{number(each.shortest)} to {number(each.longest)}",
            number(each.examples),
            figure(decides, each.figure.value),
            interval(decides, each.figure),
            *((figure(decides, each.beside.value),) if each.beside else ()),
        )
        for each in found.lengths
    )
    head = ("characters", "examples", in_words(decides), "95 %", *(("TF-IDF",) if beside else ()))
    return Table("Short and long texts", head, rows, broad=True)


def told(found: Findings) -> Plot | None:
    """Numbers that are told against given ones; None of labels."""
    if found.said.kind != "regression":
        return None
    off = np.abs(found.said.scores - found.said.gold)
    rows = (
        ("median", f"{np.median(off):.3f}"),
        ("nine in ten are off by less than", f"{np.quantile(off, 0.9):.3f}"),
        ("most", f"{off.max():.3f}"),
    )
    title = "Told against given"
    return Plot(
        title,
        draw_told(found.said.gold, found.said.scores),
        f"Half of the numbers are off by less than {np.median(off):.3f}",
        note="On the dashed line both are the same.",
        instead=Table(title, ("off by", ""), rows),
    )


def mistakes(found: Findings) -> Passages | None:
    """The worst mistakes with their texts; None where there is none."""
    if not found.mistakes:
        return None
    numbers = found.said.kind == "regression"
    note = "Nearest by the weighted n-grams of TF-IDF."
    if not numbers:
        note += (
            " Look whether the given label is right: of the mistakes that a model is surest of, "
            "about half are errors of labels."
        )
    return Passages(
        "The worst misses" if numbers else "The mistakes it was surest of",
        ("told" if numbers else "answered", "given by a person", "nearest training example"),
        tuple(Passage(each.text, _written(each, numbers)) for each in found.mistakes),
        note=note,
    )


def _written(shown: Shown, numbers: bool) -> tuple[str, ...]:
    each = shown.mistake
    said, gold = short(each.said, _NAMES), short(each.gold, _NAMES)
    if not numbers:
        said += f" ({each.size:.1%} sure)"
    if shown.nearest is None:
        return said, gold, "None shares a word with it."
    text, label, cosine = shown.nearest
    return said, gold, f"{short(label, _NAMES)}: {text} (cosine {cosine:.2f})"
