"""Slices: lengths and labels add up; the worst mistakes and their neighbours are found."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.tasks.metrics import deciding, figures_of
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ArtifactError, InputError
from corpusmill.storage.examples.neighbours import read_neighbours
from corpusmill.storage.examples.predictions import Predictions
from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.layout import Layout
from corpusmill.tasks.stages.mistakes import worst_mistakes
from corpusmill.tasks.stages.neighbours import make_neighbours
from corpusmill.tasks.stages.slices import by_label, by_length, confusion, most_confused
from tests.labelled import Labelled, publish_examples

NAMES = ("a", "b", "c")
ROWS = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


def said(rows: list[tuple[float, float, float, int]]) -> Predictions:
    scores = np.array([row[:3] for row in rows])
    gold = np.array([row[3] for row in rows], np.int64)
    return Predictions("classification", NAMES, tuple(map(str, range(len(rows)))), gold, scores)


def texts_of(lengths: list[int]) -> Examples:
    texts = ["x" * each for each in lengths]
    return Examples([str(n) for n in range(len(texts))], texts, None, texts, texts)


@given(ROWS)
def test_labels_and_their_confusion_add_up(rows: list[tuple[float, float, float, int]]) -> None:
    answers = said(rows)
    counts, labels = confusion(answers), by_label(answers)
    assert counts.sum() == len(rows)
    assert counts.sum(1).tolist() == [each.gold for each in labels]
    assert counts.sum(0).tolist() == [each.said for each in labels]
    assert np.diag(counts).tolist() == [each.right for each in labels]
    there = [each for each in labels if each.gold or each.said]
    macro = sum(each.f1 for each in there) / len(there)
    assert macro == pytest.approx(figures_of(answers)["f1_macro"])
    pairs = most_confused(counts, NAMES, 9)
    wrong = [mistake.row for mistake in worst_mistakes(answers, 99) if mistake.size > 0]
    assert sum(each.examples for each in pairs) >= len(wrong)
    assert [each.examples for each in pairs] == sorted((e.examples for e in pairs), reverse=True)


def test_quarters_of_length_hold_every_example_once() -> None:
    answers = said([(0.9, 0.1, 0.0, 0)] * 4 + [(0.9, 0.1, 0.0, 1)] * 4)
    metric = deciding("classification", 3)
    quarters = by_length(answers, answers, texts_of([1, 2, 3, 4, 5, 6, 7, 80]), metric)
    assert [(each.shortest, each.longest) for each in quarters] == [(1, 2), (3, 4), (5, 6), (7, 80)]
    assert [each.figure.value for each in quarters] == [1, 1, 0, 0]
    assert quarters[0].beside == quarters[0].figure
    [all_alike] = by_length(answers, None, texts_of([5] * 8), metric)
    assert (all_alike.examples, all_alike.figure.value, all_alike.beside) == (8, 0.5, None)


def test_the_surest_mistake_comes_first_and_what_is_right_never() -> None:
    answers = said([(0.6, 0.4, 0.0, 1), (0.9, 0.1, 0.0, 0), (0.1, 0.2, 0.7, 0)])
    assert [
        (each.row, each.said, each.gold, each.size) for each in worst_mistakes(answers, 20)
    ] == [
        (2, "c", "a", 0.7),
        (0, "a", "b", 0.6),
    ]
    assert len(worst_mistakes(answers, 1)) == 1


def test_of_several_labels_the_surest_wrong_decision_counts_and_of_numbers_the_distance() -> None:
    gold = np.array([[True, False, False], [True, True, False]])
    scores = np.array([[0.1, 0.2, 0.95], [0.9, 0.4, 0.3]])
    several = Predictions("several", NAMES, ("0", "1"), gold, scores)
    first, second = worst_mistakes(several, 20)
    assert (first.said, first.gold, first.size) == ("c", "a", 0.95)
    assert (second.said, second.gold, second.size) == ("a", "a, b", 0.6)
    numbers = Predictions("regression", (), ("0", "1"), np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    [only] = worst_mistakes(numbers, 20)
    assert (only.said, only.gold, only.size) == ("1.5", "1", 0.5)


def _examples(tmp_path: Path, pairs: bool) -> Ref:
    train: list[Labelled] = [
        ("the red ball", "rolls away" if pairs else None, "sport"),
        ("the blue share", "falls again" if pairs else None, "trade"),
    ]
    test: list[Labelled] = [
        ("a share is sold", "and falls" if pairs else None, "sport"),
        ("the red red ball", "rolls" if pairs else None, "sport"),
        ("quite otherwise", "indeed" if pairs else None, "trade"),
    ]
    sides = {"train": train, "test": test}
    return publish_examples(tmp_path / "examples", "classification", sides, ["sport", "trade"])  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", [False, True])
def test_the_nearest_training_example_is_found_once(tmp_path: Path, pairs: bool) -> None:
    layout, examples = Layout(tmp_path / "store"), _examples(tmp_path, pairs)
    made = make_neighbours(layout, examples, "test", ["test-1", "test-0", "test-2"])
    found = read_neighbours(made.path)
    assert {key: each.nearest for key, each in found.items()} == {
        "test-0": "train-1",
        "test-1": "train-0",
    }
    assert found["test-1"].cosine > found["test-0"].cosine > 0
    again = make_neighbours(layout, examples, "test", ["test-0", "test-1", "test-2"])
    assert again == made


def test_an_example_that_is_not_there_is_refused(tmp_path: Path) -> None:
    examples = _examples(tmp_path, pairs=False)
    with pytest.raises(InputError, match="nobody is not among those for test"):
        make_neighbours(Layout(tmp_path / "store"), examples, "test", ["nobody"])


def test_what_holds_no_neighbours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "neighbours.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(ArtifactError, match="expected JSON Lines of id, nearest and cosine"):
        read_neighbours(tmp_path)
