"""Labels: what stands in a column as a name, a number or several names."""

from collections.abc import Mapping
from typing import Any

import pytest

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.tasks.labelled.labels import Label, NoNumberError, check_labels, label_of


@pytest.mark.parametrize(
    ("value", "kind", "label"),
    [
        (" good\ufeff ", "classification", "good"),
        (1.0, "classification", "1"),
        (1, "classification", "1"),
        (True, "classification", "true"),
        (0.5, "classification", "0.5"),
        (["x"], "classification", "x"),
        (["x", "y"], "classification", None),
        ({}, "classification", None),
        (float("nan"), "classification", None),
        ("  ", "classification", None),
        (None, "regression", None),
        ("4.5", "regression", 4.5),
        (3, "regression", 3.0),
        ("b, a,b,", "several", ("a", "b")),
        (["b", 1.0, None], "several", ("1", "b")),
        ([], "several", ()),
        ("", "several", None),
    ],
)
def test_a_value_is_a_label(value: Any, kind: TaskKind, label: Label | None) -> None:
    assert label_of(value, kind, {}) == label


@pytest.mark.parametrize("value", ["five", "inf", float("inf")])
def test_what_is_no_number_is_no_label_of_a_regression(value: Any) -> None:
    with pytest.raises(NoNumberError, match="expected a"):
        label_of(value, "regression", {})


@pytest.mark.parametrize(
    ("value", "kind", "label"),
    [
        ("1", "classification", "good"),
        ("x", "classification", "x"),
        (["1", "good"], "several", ("good",)),
    ],
)
def test_labels_are_renamed(value: Any, kind: TaskKind, label: Label) -> None:
    renamed: Mapping[str, str] = {"1": "good"}
    assert label_of(value, kind, renamed) == label


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            [str(n) for n in range(10_000)],
            r"10,000 different labels in 10,000 .* task\.kind=regression",
        ),
        ([str(n % 1001) for n in range(9000)], "1,001 different labels"),
        ([str(n) for n in range(60)], "60 different labels in 60"),
        (["x", "x"], "only the label 'x' in 2 examples; expected at least two"),
    ],
)
def test_what_is_no_classification_is_refused(labels: list[Label], sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence):
        check_labels(labels, "classification", "label")


def test_few_labels_may_be_as_rare_as_they_are() -> None:
    check_labels([str(n) for n in range(50)], "classification", "label")
    check_labels([str(n % 150) for n in range(600)], "classification", "label")
    check_labels([1.5], "regression", "label")
    check_labels([("x",), ()], "several", "label")
    with pytest.raises(CorpusError, match="no label in 1 examples; expected at least one"):
        check_labels([()], "several", "label")
