"""CSV and TSV as people have them: stray quotation marks, no header line."""

from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.corpus.pairs import part_pair
from corpusmill.tasks.ingestion.cleaning.evaluation_text import read_texts
from corpusmill.tasks.ingestion.config import FileSource
from tests.readings import counts_of, flaw_of, flaws_in, items_of, places_in, texts_in, texts_of

PAIRS = [(f"sentence {n}", f"句子{n}") for n in range(1000)]
FIELDS = ("en", "zh")


def _write(path: Path, delimiter: str, *changed: tuple[int, str]) -> list[tuple[str, str]]:
    """Writes the pairs, some with another first side; returns them."""
    pairs = list(PAIRS)
    for row, side in changed:
        pairs[row] = (side, pairs[row][1])
    lines = [delimiter.join(pair) + "\n" for pair in [FIELDS, *pairs]]
    path.write_text("".join(lines), encoding="utf-8")
    return pairs


def _pairs(path: Path, **fields: Any) -> list[tuple[str, str]]:
    return [part_pair(text) for text in texts_in(items_of(path, pair=FIELDS, **fields))]


@pytest.mark.parametrize(
    "changed",
    [
        [(9, '"Hello," she said.')],
        [(9, '"Go."')],
        [(9, '"opened and not closed')],
        [(9, '"opened'), (500, 'closed"')],
    ],
)
def test_a_quotation_mark_in_a_tsv_is_text(tmp_path: Path, changed: list[tuple[int, str]]) -> None:
    pairs = _write(tmp_path / "x.tsv", "\t", *changed)
    assert _pairs(tmp_path / "x.tsv") == pairs
    assert not flaws_in(items_of(tmp_path / "x.tsv", pair=FIELDS))


@pytest.mark.parametrize(
    "changed",
    [
        [(9, '"opened and not closed')],
        [(9, '"opened and not closed'), (500, 'this "quotation" is closed')],
        [(9, '"opened and not closed'), (500, '"a sound, quoted field"')],
        [(9, '"opened'), (10, '"and again'), (999, '"at the end')],
    ],
)
def test_an_unclosed_quotation_mark_in_a_csv_costs_its_line(
    tmp_path: Path, changed: list[tuple[int, str]]
) -> None:
    pairs = _write(tmp_path / "x.csv", ",", *changed)
    items = items_of(tmp_path / "x.csv", pair=FIELDS)
    bad = [row for row, side in changed if side.startswith('"') and not side.endswith('"')]
    kept = [pair for row, pair in enumerate(pairs) if row not in bad]
    assert [part_pair(text) for text in texts_in(items)] == [
        (source.strip('"') if source.endswith('field"') else source, target)
        for source, target in kept
    ]
    assert [flaw.place for flaw in flaws_in(items)] == [f"line {row + 2}" for row in bad]
    assert len(set(places_in(items))) == len(kept)


def test_lines_that_a_sound_record_may_have_swallowed_are_counted(tmp_path: Path) -> None:
    _write(tmp_path / "x.csv", ",", (9, '"opened'), (500, 'closed"'))
    counts = counts_of(tmp_path / "x.csv", pair=FIELDS)
    assert counts["records_within_quotes"] == 490
    (tmp_path / "y.csv").write_text('n,text\n1,"a\nb\nc\nd\ne\nf"\n')
    assert counts_of(tmp_path / "y.csv") == {"text": 1}


def test_quoting_is_what_the_source_says(tmp_path: Path) -> None:
    rows = 'n\ttext\n1\t"a\tb ""c"""\n'
    (tmp_path / "x.tsv").write_text(rows)
    assert texts_of(tmp_path / "x.tsv", quoted=True) == ['a\tb "c"']
    assert "quoted=true" in flaw_of(tmp_path / "x.tsv").remedy
    (tmp_path / "x.csv").write_text('n,text\n1,"a\n2,"b"\n')
    assert texts_of(tmp_path / "x.csv", quoted=False) == ['"a', '"b"']
    assert FileSource(files="/x.tsv").quoted is None


@pytest.mark.parametrize(("name", "delimiter"), [("x.csv", ","), ("x.tsv", "\t")])
def test_columns_without_a_header_line_are_named_by_number(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    (tmp_path / name).write_text(f"a{delimiter}一\nb{delimiter}二\n", encoding="utf-8")
    texts = texts_of(tmp_path / name, pair=("2", "1"))
    assert [part_pair(text) for text in texts] == [("一", "a"), ("二", "b")]
    assert texts_of(tmp_path / name, text_field="1") == ["a", "b"]
    assert "expected a column 3" in flaw_of(tmp_path / name, text_field="3").finding
    assert "to its number" in flaw_of(tmp_path / name).remedy
    (tmp_path / name).write_text(f"0{delimiter}1\nb{delimiter}二\n", encoding="utf-8")
    assert texts_of(tmp_path / name, text_field="1") == ["二"]


def test_evaluation_text_of_a_tsv_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text('"a\tb\nc\t"d"\n')
    assert list(read_texts(tmp_path / "x.tsv")) == ['"a', "b", "c", '"d"']
