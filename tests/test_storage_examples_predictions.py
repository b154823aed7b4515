"""The file of predictions: what is written is read to the last bit, what is no such file refused;
and the mean of two."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.errors import ArtifactError, InputError
from corpusmill.storage.examples.predictions import (
    Predictions,
    mean_of,
    read_predictions,
    write_predictions,
)
from corpusmill.storage.examples.subsets import first_by_hash, share_by_hash

NAMES = ("negative", "好\n", "c")
NUMBERS = st.floats(0, 1)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=5)


def of_kinds(rows: list[tuple[float, float, float]]) -> list[Predictions]:
    scores = np.array(rows)
    ids = tuple(f"id {number}" for number in range(len(rows)))
    return [
        Predictions("classification", NAMES, ids, scores.argmin(1), scores),
        Predictions("several", NAMES, ids, scores < 0.5, scores),
        Predictions("regression", (), ids, scores[:, 0], scores[:, 1]),
    ]


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float, float]]
) -> None:
    path = tmp_path_factory.mktemp("predictions") / "test" / "predictions.jsonl"
    for written in of_kinds(rows):
        write_predictions(path, written)
        read = read_predictions(path)
        assert read.same_examples(written)
        assert (read.scores == written.scores).all() and read.scores.shape == written.scores.shape


def test_a_line_says_what_anybody_can_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    lines = []
    for written in of_kinds([(0.5, 0.25, 1.0)]):
        write_predictions(path, written)
        lines.append(json.loads(path.read_text(encoding="utf-8")))
    scores = {"negative": 0.5, "好\n": 0.25, "c": 1.0}
    assert lines == [
        {"id": "id 0", "label": "好\n", "scores": scores},
        {"id": "id 0", "label": ["好\n"], "scores": scores},
        {"id": "id 0", "label": 0.5, "value": 0.25},
    ]


ROW = '{"id": "1", "label": "a", "scores": {"a": 0.5, "b": 0.5}}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("", "no line"),
        ("no JSON", "Expecting value"),
        (ROW + ROW.replace('"b"', '"c"'), "line 2 scores other labels than line 1"),
        (ROW.replace('"label": "a"', '"label": "c"'), "the label 'c' is none of a, b"),
        (ROW.replace("0.5", "NaN"), "not finite"),
        ('{"id": "1", "value": 1}', "'label'"),
        ("[1]", "expected JSON Lines"),
    ],
)
def test_what_holds_no_predictions_is_refused_in_a_sentence(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "predictions.jsonl"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=said) as error:
        read_predictions(path)
    assert "expected JSON Lines of id, label" in str(error.value)


def test_the_mean_of_two_is_that_of_their_scores() -> None:
    for one in of_kinds([(0.5, 0.25, 1.0), (0.0, 0.5, 0.5)]):
        mean = mean_of(one, replace(one, scores=one.scores * 0))
        assert (mean.scores == one.scores / 2).all() and mean.same_examples(one)


def test_no_mean_is_taken_of_other_examples() -> None:
    one, *_ = of_kinds([(0.5, 0.25, 1.0), (0.0, 0.5, 0.5)])
    for other in (
        replace(one, ids=one.ids[::-1]),
        replace(one, gold=one.gold[::-1]),
        replace(one, labels=("x", *NAMES[1:])),
        replace(one, ids=one.ids[:1], gold=one.gold[:1], scores=one.scores[:1]),
    ):
        with pytest.raises(InputError, match="expected the same: predict one file with both"):
            mean_of(one, other)


@given(st.sets(st.text(max_size=5), min_size=1, max_size=50), st.floats(0.01, 1))
def test_fewer_examples_are_among_more_whatever_their_order(names: set[str], share: float) -> None:
    ids = sorted(names)
    few, more = share_by_hash(ids, share / 2), share_by_hash(ids, share)
    assert set(few) <= set(more) and len(more) == max(1, round(share * len(ids)))
    assert {ids[number] for number in more} == {
        ids[::-1][number] for number in share_by_hash(ids[::-1], share)
    }
    assert list(first_by_hash(ids, len(ids) + 1)) == list(range(len(ids)))
