"""Pictures of reports: well formed, within their frame, and legible whatever is drawn."""

from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.tasks.reports.plots import Interval, Line, draw_intervals, draw_lines

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=9),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
@example([(0, 0.0)], "<&>")
@example([(1, 2.0), (1, 2.0)], "")
@example([(0, 1e-12), (1, 0.0)], "")
def test_any_curve_is_well_formed_and_within_its_picture(
    points: list[tuple[float, float]], label: str
) -> None:
    line = Line(label, points, "blue", dots=True, hollow=frozenset({0}))
    svg = draw_lines([line], label, label)
    if not points:
        assert svg == ""
        return
    root = ElementTree.fromstring(svg)
    for dot in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(dot.attrib["cx"]) <= 440 and 0 <= float(dot.attrib["cy"]) <= 260


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.booleans())
def test_any_interval_is_within_its_picture(values: list[float], few: bool) -> None:
    low, value, high = sorted(values)
    root = ElementTree.fromstring(
        draw_intervals([Interval("a" * 99, low, value, high, few)], 0.003)
    )
    (dot,) = root.iter("{http://www.w3.org/2000/svg}circle")
    assert 0 <= float(dot.attrib["cx"]) <= 440


def test_a_source_of_little_text_is_cut_off_with_an_arrow_and_leaves_the_scale_to_the_whole() -> (
    None
):
    new = Interval("new", 0.01, 0.02, 0.03, False, wanted=0.0, whole=True)
    wild = Interval("old: wild", -9.0, -8.0, 9.0, True, wanted=-0.003)
    root = ElementTree.fromstring(draw_intervals([new, wild], 0.003))
    (dot,) = root.iter("{http://www.w3.org/2000/svg}circle")
    assert float(dot.attrib["cx"]) - 132 > 40, "the whole text has the room"
    paths = [each.attrib["d"] for each in root.iter("{http://www.w3.org/2000/svg}path")]
    assert sum(each.endswith("-5v10z") for each in paths) == 2
    for path in paths:
        assert 132 - 5 <= float(path[1:].split()[0]) <= 440


def test_long_names_of_sources_are_told_apart_by_their_ends() -> None:
    rows = [
        Interval(f"old: https://example.org/corpus/{each}", 0.0, 0.01, 0.02, False)
        for each in ("en.jsonl", "de.jsonl")
    ]
    svg = draw_intervals(rows, 0.003)
    assert "…s/en.jsonl" in svg and "…s/de.jsonl" in svg


@pytest.mark.parametrize(
    ("low", "value", "few", "wanted", "tone"),
    [
        (-0.001, 0.01, False, -0.003, "good"),
        (-0.009, 0.01, False, -0.003, "doubt"),
        (-0.009, 0.01, True, -0.003, "good"),
        (-0.009, -0.008, False, -0.003, "bad"),
        (-0.001, 0.01, False, 0.0, "doubt"),
        (-0.002, -0.001, False, -0.003, "even"),
        (-0.009, 0.01, False, None, "good"),
    ],
)
def test_where_the_low_end_decided_the_tone_is_another(
    low: float, value: float, few: bool, wanted: float | None, tone: str
) -> None:
    assert Interval("old", low, value, 1.0, few, wanted).tone(0.003) == tone
