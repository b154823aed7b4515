"""Examples as an artifact: sides without copies on another, counts that add up, the same bytes."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.storage.artifacts import content_digest
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.reading import label_names
from corpusmill.storage.examples.schema import SIDES
from corpusmill.tasks.labelled.copies import reading_key
from corpusmill.tasks.stages.examples import warnings_of
from tests.corpora import build, counts_of, write_jsonl
from tests.labelled import (
    examples_of,
    kept_in,
    sentence,
    texts_in,
    write_rows,
    write_sentences,
)
from tests.readings import real

LONG = " ".join(sentence(number) for number in range(1234, 1238))


def _dropped(tmp_path: Path, **fields: Any) -> dict[str, dict[str, int]]:
    counts = counts_of(examples_of(tmp_path, **fields))
    return {side: counts[side]["dropped"] for side in SIDES}


def test_one_file_is_parted_by_hash_and_found_again(tmp_path: Path) -> None:
    train = write_sentences(tmp_path / "x.jsonl", range(1000, 2000))
    ref = examples_of(tmp_path, train=train)
    counts = counts_of(ref)
    assert {side: counts[side]["in"] for side in SIDES} == {
        side: len(texts) for side, texts in texts_in(ref).items()
    }
    assert sum(counts[side]["in"] for side in SIDES) == 1000
    assert all(70 < counts[side]["in"] < 130 for side in ("validation", "test"))
    assert label_names(ref.path) == ("a", "b")
    assert examples_of(tmp_path, train=train) == ref
    other = examples_of(tmp_path / "other store", train=train)
    assert (other.digest, content_digest(other)) == (ref.digest, content_digest(ref))


def test_sides_stay_whatever_the_order_and_as_the_file_grows(tmp_path: Path) -> None:
    before = examples_of(tmp_path, train=write_sentences(tmp_path / "x.jsonl", range(1000, 1300)))
    numbers = reversed(range(1000, 1600, 3))
    after = examples_of(tmp_path, train=write_sentences(tmp_path / "y.jsonl", numbers))
    sides = {text: side for side, texts in texts_in(before).items() for text in texts}
    both = [
        (side, sides[text])
        for side, texts in texts_in(after).items()
        for text in texts
        if text in sides
    ]
    assert len(both) == 100
    assert all(one == other for one, other in both)


def test_of_few_examples_each_side_has_one(tmp_path: Path) -> None:
    train = write_sentences(tmp_path / "x.jsonl", [1000, 2001, 3002, 4003])
    counts = counts_of(examples_of(tmp_path, train=train, kind="several"))
    assert all(counts[side]["in"] for side in SIDES)


def test_near_copies_are_on_one_side(tmp_path: Path) -> None:
    texts = [hashlib.sha256(bytes([number])).hexdigest() for number in range(100)]
    rows = [
        (f"{mark} {text}", "ab"[number % 2])
        for number, text in enumerate(texts)
        for mark in ("so", "and", "then")
    ]
    ref = examples_of(tmp_path, train=write_rows(tmp_path / "x.jsonl", rows))
    found = {side: {text.split()[1] for text in its} for side, its in texts_in(ref).items()}
    assert all(found.values())
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 100


def test_every_row_is_kept_or_dropped_for_a_reason(tmp_path: Path) -> None:
    rows: list[Any] = [
        *((sentence(number), "ab"[number % 2]) for number in range(1000, 1020)),
        (sentence(1000).upper() + "!", "a"),  # a copy
        (sentence(7001), "a"),  # in test
        (f"so {LONG}", "a"),  # nearly in validation
        (sentence(8001), "a"),  # with two labels
        (sentence(8001), "b"),
        (" \u3000", "a"),
        (sentence(8002), None),
        (sentence(8003), ""),
        {"text": sentence(8004)},
        {"text": ["x"], "label": "a"},
    ]
    held_out = [(LONG, "a"), (sentence(7001), "b"), (sentence(7002), "a")]
    test = [(sentence(7001), "a"), (sentence(7003), "new"), (sentence(7004), "b")]
    ref = examples_of(
        tmp_path,
        train=write_rows(tmp_path / "x.jsonl", rows),
        validation=write_rows(tmp_path / "y.jsonl", held_out),
        test=write_rows(tmp_path / "z.jsonl", test),
    )
    counts = counts_of(ref)
    assert counts["train"] == {
        "in": 30,
        "kept": 20,
        "dropped": {
            "conflicting_label": 2,
            "duplicate": 1,
            "empty": 1,
            "in_test": 1,
            "in_validation": 1,
            "no_text": 1,
            "unlabelled": 3,
        },
    }
    assert counts["validation"] == {"in": 3, "kept": 2, "dropped": {"in_test": 1}}
    assert counts["test"] == {"in": 3, "kept": 2, "dropped": {"unseen_label": 1}}
    assert counts["unseen_labels"] == {"new": 1}
    assert counts["labels"]["b"] == {"train": 10, "validation": 0, "test": 1}
    assert counts["overlaps"] == {
        "validation_in_train": {"same": 1, "copies": 2, "examples": 3},
        "test_in_train": {"same": 1, "copies": 1, "examples": 3},
        "test_in_validation": {"same": 1, "copies": 1, "examples": 3},
        "corpora": {},
    }


def test_who_keeps_what_is_on_two_sides_is_told(tmp_path: Path) -> None:
    train = write_sentences(tmp_path / "x.jsonl", range(1000, 1100))
    test = write_sentences(tmp_path / "y.jsonl", [*range(1000, 1010), *range(2000, 2010)])
    fields: dict[str, Any] = {"train": train, "test": test, "validation_fraction": 0.0}
    assert _dropped(tmp_path, **fields)["train"] == {"in_test": 10}
    assert _dropped(tmp_path, **fields, on_overlap="drop_test")["test"] == {"in_train": 10}
    with pytest.raises(CorpusError, match=r"10 of 20 test examples have a copy in train; .* drop"):
        examples_of(tmp_path, **fields, on_overlap="refuse")
    with pytest.raises(CorpusError, match=r"No example is left .* 20 in_test"):
        examples_of(tmp_path, train=test, test=test)


def test_a_limit_leaves_the_first_by_hash_and_no_label_out(tmp_path: Path) -> None:
    train = write_sentences(tmp_path / "x.jsonl", range(1000, 1300), "abcdefgh")
    few, more = (examples_of(tmp_path, train=train, limit=limit) for limit in (5, 50))
    assert set(kept_in(few)["train"].ids) < set(kept_in(more)["train"].ids)
    assert len(kept_in(few)["train"]) == 5
    assert label_names(few.path) == tuple("abcdefgh")
    assert texts_in(few)["test"] == texts_in(more)["test"]
    assert counts_of(few)["train"]["dropped"]["over_limit"] > 200


def test_an_example_is_called_the_same_in_any_file(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    rows = [(sentence(number), "ab"[number % 2]) for number in range(1000, 1010)]
    write_rows(tmp_path / "one" / "x.jsonl", rows)
    marked = "\ufefflabel,text\r\n" + "".join(f"{label}, {text} \r\n" for text, label in rows)
    (tmp_path / "other" / "y.csv").write_text(marked, encoding="utf-8", newline="")
    one, other = (
        examples_of(tmp_path, train=str(tmp_path / folder)) for folder in ("one", "other")
    )
    assert kept_in(one)["train"].ids == kept_in(other)["train"].ids
    assert label_names(one.path) == label_names(other.path)


def test_pairs_numbers_and_several_labels(tmp_path: Path) -> None:
    rows = [
        {"text": sentence(number), "other": sentence(number + 1), "label": f"{number / 10}"}
        for number in range(1000, 1040)
    ]
    train = write_rows(
        tmp_path / "x.jsonl", [*rows, {**rows[0], "other": ""}, {**rows[1], "label": "x"}]
    )
    ref = examples_of(tmp_path, train=train, text_pair="other", kind="regression")
    kept = kept_in(ref)["train"]
    assert kept.pairs and kept.pairs[0] != kept.texts[0]
    assert all(isinstance(label, float) for label in kept.labels)
    assert label_names(ref.path) == ()
    assert counts_of(ref)["train"]["dropped"] == {"empty": 1, "no_number": 1}
    with pytest.raises(CorpusError, match=r"None of the .* is a number"):
        examples_of(
            tmp_path, train=write_sentences(tmp_path / "y.jsonl", range(9)), kind="regression"
        )
    topics = [(sentence(n), ["", "x", "y,x"][n % 3]) for n in range(1000, 1060)]
    ref = examples_of(tmp_path, train=write_rows(tmp_path / "z.jsonl", topics), kind="several")
    assert {str(label) for label in kept_in(ref)["train"].labels} == {"['x']", "['x', 'y']"}


def test_a_text_of_a_million_characters_is_an_example(tmp_path: Path) -> None:
    rows = [(sentence(number), "ab"[number % 2]) for number in range(1000, 1020)]
    rows.append(("很长的文字" * 200_000, "a"))
    train = write_rows(tmp_path / "x.jsonl", rows)
    test = write_sentences(tmp_path / "y.jsonl", [3000])
    ref = examples_of(tmp_path, train=train, test=test, validation_fraction=0.0)
    assert max(map(len, texts_in(ref)["train"])) == 1_000_000


def test_what_stands_in_the_text_of_pretraining_is_counted_by_side(tmp_path: Path) -> None:
    known = [f"{sentence(n)} {sentence(n + 3)}" for n in range(1000, 1200, 10)]
    corpus = build(tmp_path, write_jsonl(tmp_path / "known.jsonl", known), validation_fraction=0.05)
    new = [f"{sentence(n)} {sentence(n + 3)}" for n in range(5000, 5200, 10)]
    rows = [(text, "ab"[number % 2]) for number, text in enumerate(known + new)]
    train = write_rows(tmp_path / "x.jsonl", [*rows, ("too short", "a")])
    test = write_rows(tmp_path / "y.jsonl", [(f"{sentence(77)} {sentence(88)}", "a")])
    fields: dict[str, Any] = {"train": train, "test": test, "validation_fraction": 0.0}
    ref = examples_of(tmp_path, [corpus], **fields)
    learned = counts_of(corpus)["train"]["documents"]
    assert counts_of(ref)["overlaps"]["corpora"] == {
        corpus.digest: {
            "train": {"copies": learned, "examples": 40, "too_short": 1},
            "validation": {"copies": 0, "examples": 0, "too_short": 0},
            "test": {"copies": 0, "examples": 1, "too_short": 0},
        }
    }
    assert content_digest(ref) == content_digest(examples_of(tmp_path, **fields))


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.sampled_from(["", "!", " "]))),
    st.lists(st.tuples(st.integers(30, 60), st.sampled_from("abc"))),
    st.sampled_from(["drop_training", "drop_test"]),
)
def test_whatever_comes_no_text_is_on_two_sides_or_has_two_labels(
    tmp_path: Path, train: list[tuple[int, str, str]], test: list[tuple[int, str]], keeper: str
) -> None:
    rows = [(sentence(97 * n) + mark, label) for n, label, mark in train]
    rows += [
        (sentence(9000), "a"),
        (sentence(9011), "b"),
        (sentence(9022), "a"),
        (sentence(9033), "b"),
    ]
    held_out = [(sentence(97 * n), label) for n, label in test] + [(sentence(9999), "a")]
    ref = examples_of(
        tmp_path,
        train=write_rows(tmp_path / "x.jsonl", rows),
        test=write_rows(tmp_path / "y.jsonl", held_out),
        on_overlap=keeper,
        validation_fraction=0.2,
    )
    counts = counts_of(ref)
    keys = Counter(reading_key(text) for texts in texts_in(ref).values() for text in texts)
    assert not keys or max(keys.values()) == 1
    assert counts["test"]["in"] == len(held_out)
    assert counts["train"]["in"] + counts["validation"]["in"] == len(rows)


@pytest.mark.parametrize(
    ("train", "test", "fields", "found"),
    [
        # With letters from a to z alone 1,431 of them would be the same.
        (
            {"0": "rt_polarity/rt-polarity.neg.txt", "1": "rt_polarity/rt-polarity.pos.txt"},
            "sst2/test.tsv",
            {"text_unit": "line"},
            (1485, 1517, 1821),
        ),
        ("chnsenticorp/train.tsv", "chnsenticorp/dev.tsv", {}, (342, 347, 1200)),
    ],
)
def test_leaks_between_real_sets_are_found_and_taken_out(
    tmp_path: Path,
    train: str | dict[str, str],
    test: str,
    fields: dict[str, Any],
    found: tuple[int, int, int],
) -> None:
    data = real("rt_polarity").parent
    real("chnsenticorp")
    named = train if isinstance(train, str) else {k: str(data / v) for k, v in train.items()}
    ref = examples_of(
        tmp_path,
        train=str(data / named) if isinstance(named, str) else named,
        test=str(data / test),
        text="0",
        label="1",
        **fields,
    )
    counts = counts_of(ref)
    overlap = counts["overlaps"]["test_in_train"]
    assert (overlap["same"], overlap["copies"], overlap["examples"]) == found
    tested = {reading_key(text) for text in texts_in(ref)["test"]}
    assert tested.isdisjoint(map(reading_key, texts_in(ref)["train"]))
    assert (
        json.loads((ref.path / "manifest.json").read_text())["counts"]["train"] == counts["train"]
    )


def test_a_column_that_is_half_empty_is_told(tmp_path: Path) -> None:
    rows = [(sentence(number), "ab"[number // 2 % 2] if number % 2 else "") for number in range(40)]
    train = write_rows(tmp_path / "rows.jsonl", rows)
    counts = counts_of(examples_of(tmp_path, train=train, validation_fraction=0, test_fraction=0))
    assert counts["train"] == {"in": 40, "kept": 20, "dropped": {"unlabelled": 20}}
    assert warnings_of(counts) == ["20 of 40 train examples have no label, and are left out"]


def test_labels_are_numbered_alike_whatever_their_order_in_the_files(tmp_path: Path) -> None:
    train = write_sentences(tmp_path / "train.jsonl", range(40), "ab")
    test = write_sentences(tmp_path / "test.jsonl", range(1000, 1010), "ba")
    ref = examples_of(tmp_path, train=train, test=test, similarity=1.0)
    assert list(counts_of(ref)["labels"]) == ["a", "b"]
    assert kept_in(ref)["test"].labels[:2] == ["b", "a"]
