"""What an evaluation by itself leaves: tags that do not overwrite each other, and all figures."""

from typing import Any

import pytest

from corpusmill.model.config import EvaluationResult, ProbeResult
from corpusmill.tasks.reports.scores import Scores, metrics_of, render, tags_of
from corpusmill.tasks.stages.by_source import SourceFigure

PROBES = (
    ProbeResult(
        name="arc",
        kind="multiple_choice",
        accuracy=0.3,
        low=0.2,
        high=0.4,
        items=500,
        chance=0.25,
        beside={"accuracy_per_byte": 0.33},
    ),
)


def scores(*names: str, digest: str = "0123456789", **fields: Any) -> Scores:
    """Of a text of these sources."""
    result = EvaluationResult(
        family="causal_lm",
        documents=2,
        bytes=2000,
        predictions=600,
        figures={"bits_per_byte": 1.0},
        decides="bits_per_byte",
        precision="fp32",
        seconds=1.0,
        probes=PROBES,
    )
    rows = [SourceFigure(name, 1.0, 0.9, 1.1, 2, 2000, 40) for name in names]
    given = {"text_digest": digest, "probe_digests": {"arc": "fedcba9876"}, **fields}
    return Scores("m", "all", result, "bits_per_byte", rows, **given)


def test_tags_say_text_and_precision_and_all_figures_of_a_probe() -> None:
    tags = dict(tags_of(scores("a.txt")))
    assert tags["evaluated.text.a.txt"] == (
        "1.0000 bits per byte (0.9000 to 1.1000, 2 documents, 2,000 bytes; text 01234567, fp32)"
    )
    assert tags["evaluated.probe.arc"] == (
        "0.3000 (0.2000 to 0.4000, 500 items, accuracy per byte 0.33; items fedcba98, fp32)"
    )
    assert metrics_of(PROBES) == {
        "evaluation/probe/arc/accuracy": 0.3,
        "evaluation/probe/arc/accuracy_per_byte": 0.33,
    }
    assert "accuracy per byte 0.33" in render(scores("a.txt"))


@pytest.mark.parametrize(
    "names", [("a b", "a_b"), ("a b", "a/b", "a_b"), ("probe.arc",), ("x" * 300, "x" * 301)]
)
def test_no_tag_overwrites_another(names: tuple[str, ...]) -> None:
    keys = [key for key, _ in tags_of(scores(*names))]
    assert len(set(keys)) == len(keys) == len(names) + 1
    assert all(len(key) <= 250 for key in keys)


def test_of_two_files_of_one_name_each_keeps_its_tag_and_the_newest_of_each_stays() -> None:
    first = dict(tags_of(scores("same.txt")))
    second = dict(tags_of(scores("same.txt", digest="abcdefgh89"), first))
    assert set(second) & set(first) == {"evaluated.probe.arc"}
    assert "evaluated.text.same.txt.abcdefgh" in second
    assert set(tags_of(scores("same.txt"), first | second)) == set(first.items())
    again = tags_of(scores("same.txt", digest="abcdefgh89"), first | second)
    assert set(again) == set(second.items())


def test_few_blocks_have_no_interval_and_what_cannot_be_scored_is_told() -> None:
    of = scores(dropped={"unreadable": 3})
    few = SourceFigure(None, 1.0, 1.0, 1.0, 1, 2000, 1)
    text = render(Scores(of.model, "t", of.result, of.figure, [few], dropped=of.dropped))
    assert "| few |" in text and "1.0000 to" not in text
    assert "3 documents cannot be scored: 3 unreadable." in text


def test_probes_alone_have_no_table_of_text() -> None:
    result = scores().result.model_copy(update={"figures": {}, "decides": ""})
    alone = Scores("m", "", result, "", ())
    assert "| text |" not in render(alone) and "all of the text" not in render(alone)
    assert [key for key, _ in tags_of(alone)] == ["evaluated.probe.arc"]
