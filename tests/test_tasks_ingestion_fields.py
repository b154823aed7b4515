"""Several fields of a record are one document."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.ingestion.config import CorpusConfig, DatasetSource
from corpusmill.tasks.ingestion.sources import resolve
from tests.readings import flaw_of, texts_of

ROWS = [
    {"title": "One", "body": "the first"},
    {"title": None, "body": "the second"},
    {"title": "Three", "body": ""},
]
FIELDS = ("title", "body")
TEXTS = ["One\n\nthe first", "the second", "Three"]


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def _csv(path: Path) -> None:
    path.write_text("title,n,body\nOne,1,the first\n,2,the second\nThree,3,\n")


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


WRITERS = [("x.jsonl", _jsonl), ("x.csv", _csv), ("x.parquet", _parquet)]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_several_fields_are_one_document(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    assert texts_of(tmp_path / name, text_field=FIELDS) == TEXTS
    assert texts_of(tmp_path / name, text_field=FIELDS[::-1])[0] == "the first\n\nOne"
    assert texts_of(tmp_path / name, text_field=("body",)) == [
        "the first",
        "the second",
        "",
    ]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_a_field_that_is_not_there_is_a_flaw(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    flaw = flaw_of(tmp_path / name, text_field=("title", "boddy"))
    assert "'boddy'" in flaw.finding and flaw.bytes


def test_fields_may_lie_within_another_and_have_no_header_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"page": {"title": "One", "body": "the first"}}\n')
    assert texts_of(tmp_path / "x.jsonl", text_field=("page.title", "page.body")) == TEXTS[:1]
    (tmp_path / "x.tsv").write_text("One\tthe first\n")
    assert texts_of(tmp_path / "x.tsv", text_field=("1", "2")) == TEXTS[:1]


def test_several_columns_of_a_dataset_are_one_document(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "d")
    source = DatasetSource(dataset=str(tmp_path / "d"), text_field=FIELDS)
    (found,) = resolve(CorpusConfig(sources=(source,)), tmp_path)
    assert texts_of(found.files[0].path, text_field=FIELDS) == TEXTS


@pytest.mark.parametrize("fields", [[], [""], ["a", "a"], ""])
def test_fields_that_say_nothing_are_a_sentence(fields: object) -> None:
    with pytest.raises(ConfigError, match="expected at least one, each once"):
        parse(CorpusConfig, {"text_field": fields})


@pytest.mark.parametrize(
    ("name", "rows"), [("x.csv", 300), ("x.tsv", 300), ("x.parquet", 300), ("x.arrow", 300)]
)
def test_a_table_without_the_column_costs_all_its_rows(
    tmp_path: Path, name: str, rows: int
) -> None:
    table = pa.table({"n": [str(n) for n in range(rows)], "body": ["b"] * rows})
    if name == "x.parquet":
        pq.write_table(table, tmp_path / name, row_group_size=100)
    elif name == "x.arrow":
        with pa.ipc.new_file(tmp_path / name, table.schema) as file:
            file.write_table(table, max_chunksize=100)
    else:
        between = "," if name == "x.csv" else "\t"
        lines = [between.join(row.values()) for row in table.to_pylist()]
        (tmp_path / name).write_text("\n".join([between.join(["n", "body"]), *lines]) + "\n")
    flaw = flaw_of(tmp_path / name)
    assert (flaw.reason, flaw.documents) == ("wrong_schema", rows)
    assert flaw.bytes == (tmp_path / name).stat().st_size
    assert "n, body" in flaw.finding and "set text_field" in flaw.remedy
