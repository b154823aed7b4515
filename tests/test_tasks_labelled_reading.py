"""Labelled examples as people have them: every format, no header, folders, lines of one's own."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.files import find_files
from corpusmill.tasks.labelled.gathering import gather
from corpusmill.tasks.labelled.reading import Row, clean_text, read_rows
from tests.readings import real

ROWS = [
    ('He said, "no".', "It rained,\nall day.", "1"),
    ("它没有下雨。", "e\u0301t\u00e9", "0"),
    ("a", "b", "1"),
]
FIELDS = ("one", "two", "label")
COLUMNS = {"text": "one", "text_pair": "two"}


def _rows(tmp_path: Path, **fields: Any) -> list[Row]:
    config = parse(ExamplesConfig, fields)
    rows = [row for file in find_files(config, tmp_path) for row in read_rows(file, config)]
    assert not [row for row in rows if isinstance(row, Flaw)], rows
    return [row for row in rows if isinstance(row, Row)]


def _found(rows: list[Row]) -> list[tuple[str, str | None, str]]:
    return [
        (row.text, row.pair, f"{row.label:g}" if isinstance(row.label, float) else str(row.label))
        for row in rows
    ]


def _csv(delimiter: str, header: bool) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([FIELDS, *ROWS] if header else ROWS)
    return out.getvalue().encode()


def _json(lines: bool) -> bytes:
    records = [dict(zip(FIELDS, (one, two, int(label)), strict=True)) for one, two, label in ROWS]
    if not lines:
        return json.dumps(records).encode()
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _table(arrow: bool) -> bytes:
    table = pa.table([pa.array(column) for column in zip(*ROWS, strict=True)], FIELDS)
    out = io.BytesIO()
    if arrow:
        with pa.ipc.new_file(out, table.schema) as file:
            file.write_table(table)
    else:
        pq.write_table(table, out)
    return out.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "x.csv": lambda: _csv(",", header=True),
    "x.csv.gz": lambda: gzip.compress(_csv(",", header=True)),
    "x.jsonl": lambda: _json(lines=True),
    "x.jsonl.zst": lambda: zstandard.compress(_json(lines=True)),
    "x.json": lambda: b"\xef\xbb\xbf" + _json(lines=False),
    "x.parquet": lambda: _table(arrow=False),
    "x.arrow": lambda: _table(arrow=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMATS[name]())
    rows = _rows(tmp_path, train=str(tmp_path / name), **COLUMNS)
    cleaned = [(one, clean_text(two), label) for one, two, label in ROWS]
    assert _found(rows) == cleaned
    assert rows[0].place.startswith(f"{tmp_path.name}/{name}, ")


@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
def test_columns_without_a_header_are_named_by_number(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    # The label of the first line is a number that a column is named by, and no header.
    path.write_text('one "a\t1\ntwo\t0\n')
    assert _found(_rows(tmp_path, train=str(path), text="0", label="1")) == [
        ('one "a', None, "1"),
        ("two", None, "0"),
    ]


def test_a_header_of_numbers_is_found_and_one_that_is_told_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("0,1\nhello,yes\n")
    by_number = {"train": str(path), "text": "0", "label": "1"}
    assert _found(_rows(tmp_path, **by_number)) == [("hello", None, "yes")]
    assert len(_rows(tmp_path, **by_number, header=False)) == 2
    path.write_text("words,mark\nhello,yes\n")
    assert _found(_rows(tmp_path, **by_number, header=True)) == [("hello", None, "yes")]


def test_quotation_marks_of_a_tsv_are_read_where_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(_csv("\t", header=True))
    rows = _rows(tmp_path, train=str(path), quoted=True, **COLUMNS)
    assert [row.text for row in rows] == [one for one, _, _ in ROWS]


def test_a_folder_a_label(tmp_path: Path) -> None:
    for name in ("good/1.txt", "good/2.txt", "bad/1.txt"):
        path = tmp_path / "reviews" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"\ufeff {name}\n\nsaid so\n")
    rows = _rows(tmp_path, train=str(tmp_path / "reviews"))
    assert [(row.label, row.text.split()[0]) for row in rows] == [
        ("bad", "bad/1.txt"),
        ("good", "good/1.txt"),
        ("good", "good/2.txt"),
    ]
    with zipfile.ZipFile(tmp_path / "reviews.zip", "w") as archive:
        for path in sorted((tmp_path / "reviews").rglob("*.txt")):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("reviews/picture.png", b"png")
    packed = _rows(tmp_path, train=str(tmp_path / "reviews.zip"))
    assert [(row.label, row.text) for row in packed] == [(row.label, row.text) for row in rows]


def test_a_file_a_label_and_a_label_that_its_file_has(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("fine\nvery\tfine\n")
    (tmp_path / "bad.csv").write_text("text,label\nawful,good\n")
    named = {"good": str(tmp_path / "good.txt"), "bad": [str(tmp_path / "bad.csv")]}
    rows = _rows(tmp_path, train=named, text_unit="line")
    assert [(row.text, row.label) for row in rows] == [
        ("fine", "good"),
        ("very\tfine", "good"),
        ("awful", "bad"),
    ]


def test_lines_of_a_form_of_their_own_are_matched(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("NUM:dist How far is it ?\nnothing\n\nHUM:ind Who was it ?\n")
    config = parse(
        ExamplesConfig, {"train": str(path), "pattern": r"(?P<label>\w+):\w+ (?P<text>.*)"}
    )
    (file,) = find_files(config, tmp_path)
    found = [
        (each.text, each.label) if isinstance(each, Row) else each.reason
        for each in read_rows(file, config)
    ]
    assert found[:2] == [("How far is it ?", "NUM"), "bad_record"]
    assert found[3] == ("Who was it ?", "HUM")


def test_several_labels_and_fields_within_objects(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": {"b": "one"}, "label": ["x", "y"]}\n{"a": {}, "label": []}\n')
    rows = _rows(tmp_path, train=str(path), text="a.b", kind="several")
    assert [(row.text, row.label) for row in rows] == [("one", ["x", "y"]), ("", [])]


def test_a_text_is_cleaned_of_what_no_reader_sees() -> None:
    assert clean_text("\ufeff e\u0301\r\nx\0 \u3000") == "\u00e9\nx"
    assert clean_text("half \ud83d") == "half ?"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"train": "reviews.csv"}, "relative path"),
        ({"train": {"x": "y.csv"}}, "relative path"),
        ({"train": []}, "at least one absolute path"),
        ({"train": "/x", "text": "label"}, "each to be another"),
        ({"train": "/x", "test_fraction": 0.6, "validation_fraction": 0.4}, "nothing to train on"),
        ({"train": "/x", "pattern": "("}, "cannot be used"),
        ({"train": "/x", "pattern": ".*"}, "names no group"),
        ({"train": "/x", "pattern": "(?P<text>.*)"}, "no group 'label'"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(ExamplesConfig, fields)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "x.csv",
            "text,labels\na,1\n",
            r"no column 'label', only text, labels; did you mean 'labels'\?",
        ),
        (
            "x.tsv",
            "a\t1\nb\t0\n",
            "no column 'text', only a, 1; name one of these, or, where the first",
        ),
        ("x.jsonl", '{"text": "a"}\n', "no column 'label', only text"),
        ("x.jsonl", '{"text": "a", "label": null}\n', "is empty in all of its 1 records"),
        ("x.csv", "text,label\na,b,c\nd,e,f\n", "2 of 2 records of .* cannot be read"),
        ("x.csv", "text,label,label\na,1,1\n", "several columns 'label'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_remedy(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    config = parse(ExamplesConfig, {"train": str(tmp_path / name)})
    with pytest.raises(CorpusError, match=sentence):
        gather(find_files(config, tmp_path), config)


def test_a_path_that_leads_nowhere_is_named_by_its_field(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,1\n")
    named = {"train": str(tmp_path / "x.csv"), "test": str(tmp_path / "no.csv")}
    config = parse(ExamplesConfig, named)
    with pytest.raises(CorpusError, match=r"does not exist .*; correct task\.test"):
        find_files(config, tmp_path)


@pytest.mark.parametrize(
    ("path", "fields", "count"),
    [
        ("sst2/test.tsv", {"text": "0", "label": "1"}, 1821),
        ("cola/dev.tsv", {"text": "3", "label": "1"}, 1043),
        ("chnsenticorp/dev.tsv", {"text": "0", "label": "1"}, 1200),
        ("afqmc_lcqmc_pairs/dev.txt", {"text": "0", "text_pair": "1", "label": "2"}, 4316),
        ("stsb_en_zh/stsb-en-dev.csv", {"text": "0", "text_pair": "1", "label": "2"}, 1500),
        ("trec_qc/test.txt", {"pattern": r"(?P<label>\w+):\w+ (?P<text>.*)"}, 500),
    ],
)
def test_real_sets_are_read_whole(
    tmp_path: Path, path: str, fields: dict[str, Any], count: int
) -> None:
    folder, _, name = path.partition("/")
    rows = _rows(tmp_path, train=str(real(folder) / name), **fields)
    assert len(rows) == count
    assert all(row.text and row.pair != "" and row.label for row in rows)
