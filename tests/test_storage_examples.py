"""Labelled examples on disk: what is written is read again, and opens elsewhere as it is."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.artifacts import Spec, publish
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.examples.reading import (
    Examples,
    Labels,
    kind_of,
    label_names,
    read_examples,
)
from corpusmill.storage.examples.schema import TaskKind, examples_path, ordered_labels
from corpusmill.storage.examples.writing import write_examples

LABELS: dict[TaskKind, Labels] = {
    "classification": ["x", "y"],
    "regression": [0.5, -2.0],
    "several": [[], ["x", "y"]],
}


def _examples(labels: Labels, pairs: list[str] | None = None) -> Examples:
    return Examples(
        ["0" * 32, "f" * 32], ["雨下了。", "a\nb"], pairs, labels, ["f, line 1", "f, 2"]
    )


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("pairs", [None, ["c", "d"]])
def test_what_is_written_is_read(tmp_path: Path, kind: TaskKind, pairs: list[str] | None) -> None:
    examples = _examples(LABELS[kind], pairs)
    write_examples(tmp_path, "test", examples, kind)
    assert read_examples(tmp_path, "test") == examples
    before = examples_path(tmp_path, "test").read_bytes()
    write_examples(tmp_path, "test", examples, kind)
    assert examples_path(tmp_path, "test").read_bytes() == before


def test_a_side_without_examples_has_no_rows(tmp_path: Path) -> None:
    write_examples(tmp_path, "test", Examples([], [], None, [], []), "several")
    assert len(read_examples(tmp_path, "test")) == 0
    with pa.ipc.open_file(str(examples_path(tmp_path, "test"))) as file:
        assert file.schema.names == ["id", "text", "text_pair", "label", "place"]


def test_many_long_texts_are_written_in_batches(tmp_path: Path) -> None:
    count = 20_000
    examples = Examples(["0" * 32] * count, ["x" * 4000] * count, None, [1.0] * count, [""] * count)
    write_examples(tmp_path, "train", examples, "regression")
    with pa.memory_map(str(examples_path(tmp_path, "train"))) as mapped:
        assert pa.ipc.open_file(mapped).num_record_batches == 2
    assert read_examples(tmp_path, "train") == examples


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"train\.arrow cannot be read"):
        read_examples(tmp_path, "train")


def test_the_manifest_says_the_kind_and_the_labels_in_their_order(tmp_path: Path) -> None:
    counts = {"kind": "classification", "labels": {"2": {}, "10": {}}}
    publish(tmp_path / "it", Spec("examples", 1), lambda _: counts)
    assert label_names(tmp_path / "it") == ("2", "10")
    assert kind_of(tmp_path / "it") == "classification"


@pytest.mark.parametrize("side", ["documents", "train"])
def test_counts_of_any_side_must_add_up(tmp_path: Path, side: str) -> None:
    counts = {side: {"in": 3, "kept": 1, "dropped": {"empty": 1}}}
    with pytest.raises(ArtifactError, match=f"3 {side}.* do not add up"):
        publish(tmp_path / "it", Spec("examples", 1), lambda _: counts)


@given(st.lists(st.integers(-50, 50).map(str) | st.text("ab1", max_size=3)))
def test_labels_have_one_order_however_they_come(names: list[str]) -> None:
    ordered = ordered_labels(names)
    assert ordered == ordered_labels(reversed(names))
    assert set(ordered) == set(names)
    if all(name.removeprefix("-").isdecimal() for name in names):
        assert [int(name) for name in ordered] == sorted(int(name) for name in ordered)
    else:
        assert list(ordered) == sorted(ordered)
