"""Tables: Parquet, Arrow, CSV and TSV, sound ones and damaged ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.readings import (
    counts_of,
    flaw_of,
    flaws_in,
    items_of,
    places_in,
    real,
    texts_in,
    texts_of,
)


def _write_parquet(path: Path, column: pa.Array, name: str = "text") -> Path:
    pq.write_table(pa.table({name: column}), path)
    return path


def _write_arrow(path: Path, column: pa.Array) -> Path:
    table = pa.table({"text": column})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    return path


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()]
)
def test_texts_of_every_arrow_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    column = pa.array(["a", "三", ""], pa.string()).cast(kind)
    assert texts_of(_write_arrow(tmp_path / "x.arrow", column)) == ["a", "三", ""]
    path = _write_arrow(tmp_path / "y.feather", pa.array(["a", "三", "a"]).dictionary_encode())
    assert texts_of(path) == ["a", "三", "a"]


def test_rows_of_a_table_may_be_flawed(tmp_path: Path) -> None:
    invalid = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")
    )
    column = pa.chunked_array([invalid, pa.array([None, "c\r\nd", "\0"])])
    path = _write_parquet(tmp_path / "x.parquet", column)
    items = items_of(path)
    assert texts_in(items) == ["a", "b", "c\nd"]
    assert places_in(items) == ["row 0", "row 2", "row 4"]
    assert [(flaw.place, flaw.reason) for flaw in flaws_in(items)] == [
        ("row 1", "bad_encoding"),
        ("row 3", "no_text"),
        ("row 5", "bad_encoding"),
    ]
    assert texts_in(items_of(path, on_bad_text="repair")) == ["a", "\ufffd", "b", "c\nd", ""]


def test_a_table_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path / "x.parquet", pa.array([1]), "number")
    [flaw] = flaws_in(items_of(path))
    assert flaw.reason == "wrong_schema"
    assert flaw.finding == "found no column 'text', only number; expected one"
    [flaw] = flaws_in(items_of(path, text_field="number"))
    assert flaw.finding == "found the column 'number' of type int64, expected strings"


def test_a_damaged_table_is_a_flaw(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path / "x.parquet", pa.array([os.urandom(500).hex()] * 500))
    data = path.read_bytes()
    for damaged in (b"", data[:100], data[:-10], bytes(200) + data[200:], b"PAR1" * 9):
        path.write_bytes(damaged)
        assert counts_of(path) == {"damaged": 1}
        assert "found no sound Parquet data" in flaw_of(path).finding


def test_a_damaged_row_group_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"text": [os.urandom(50).hex() for _ in range(1000)]})
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 12_000] = bytes(12_000)
    path.write_bytes(data)
    items = items_of(path)
    flaws = [flaw for flaw in flaws_in(items) if flaw.reason == "damaged"]
    assert 600 <= len(texts_in(items)) < 1000
    assert all(flaw.place.startswith("from row ") for flaw in flaws)
    lost = sum(flaw.documents for flaw in flaws_in(items))
    assert len(texts_in(items)) + lost == 1000
    assert sum(flaw.bytes or 0 for flaw in flaws) == pytest.approx(100 * lost, rel=0.2)


def test_no_damaged_footer_loses_a_row_without_a_word_or_ends_the_process(tmp_path: Path) -> None:
    path, texts = tmp_path / "x.parquet", [f"{n}" for n in range(6)]
    # Without what else there may be, the footer is short.
    plain = {"write_statistics": False, "store_schema": False, "use_dictionary": False}
    pq.write_table(pa.table({"text": texts}), path, row_group_size=3, **plain)
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(footer, len(data) - 8):
        path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        items = items_of(path)
        assert texts_in(items) == texts or flaws_in(items), place


def test_a_page_that_is_not_what_its_checksum_says_is_a_flaw(tmp_path: Path) -> None:
    path, table = tmp_path / "x.parquet", pa.table({"text": ["one", "two"]})
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    items = items_of(path)
    assert not texts_in(items)
    assert [(flaw.reason, flaw.documents) for flaw in flaws_in(items)] == [("damaged", 2)]


def test_an_arrow_stream_that_is_cut_off_gives_what_came_before(tmp_path: Path) -> None:
    table = pa.table({"text": [f"{n}" for n in range(1000)]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=100)
    (tmp_path / "x.arrow").write_bytes(sink.getvalue().to_pybytes()[:-600])
    counts = counts_of(tmp_path / "x.arrow")
    assert counts["damaged"] == 1
    assert counts["text"] >= 800


def test_no_bad_parquet_file_ends_the_process() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import pyarrow.parquet as pq\n"
        "from tests.readings import counts_of\n"
        "for path in sorted(Path(sys.argv[1]).rglob('*.parquet')):\n"
        "    try:\n"
        "        names = pq.ParquetFile(path).schema_arrow.names\n"
        "    except OSError:\n"
        "        names = ['text']\n"
        "    for name in names:\n"
        "        print(path.name, name, counts_of(path, text_field=name))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(real("parquet_samples"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert result.returncode == 0, result.stderr
    assert "ARROW-RS-GH-6229-DICTHEADER.parquet name {'damaged': 1}" in result.stdout
    assert "PARQUET-1481.parquet text {'damaged': 1}" in result.stdout
    assert "delta_byte_array.parquet c_customer_id {'text': 1000}" in result.stdout


# CSV and TSV


def test_the_csv_spectrum_is_read_right() -> None:
    folder = real("csv_spectrum")
    for path in sorted((folder / "csvs").glob("*.csv")):
        records = json.loads((folder / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        records = records if isinstance(records, list) else [records]
        for name in records[0]:
            if name == "Contact Phone Number":  # differs between the two files themselves
                continue
            expected = [record[name].replace("\r\n", "\n") for record in records]
            assert texts_of(path, text_field=name) == expected, (path, name)


def test_csv_records_are_numbered_by_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('n,text\n1,"a\nb"\n\n2,c\n')
    items = items_of(tmp_path / "x.csv")
    assert texts_in(items) == ["a\nb", "c"]
    assert places_in(items) == ["line 2", "line 5"]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_a_header_without_the_column_names_those_it_has(tmp_path: Path, name: str) -> None:
    delimiter = "," if name == "x.csv" else "\t"
    (tmp_path / name).write_text(f"id{delimiter}body\n1{delimiter}a\n")
    [flaw] = flaws_in(items_of(tmp_path / name))
    assert flaw.finding == "found no column 'text' in its first line, only id, body; expected one"
    (tmp_path / name).write_text(f"text{delimiter}text\n1{delimiter}a\n")
    [flaw] = flaws_in(items_of(tmp_path / name))
    assert flaw.finding.startswith("found several columns 'text'")


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("1,a,b", "found 3 fields, expected 2"),
        ("1", "found 1 fields, expected 2"),
        ('1,"a"b', "found no sound record"),
        ("1,a\udcffb", "the byte 0xff"),
    ],
)
def test_a_bad_record_costs_itself_only(tmp_path: Path, line: str, finding: str) -> None:
    data = f"n,text\n0,x\n{line}\n2,y\n".encode("utf-8", "surrogateescape")
    (tmp_path / "x.csv").write_bytes(data)
    items = items_of(tmp_path / "x.csv")
    assert texts_in(items) == ["x", "y"]
    (flaw,) = flaws_in(items)
    assert finding in flaw.finding
    assert flaw.place.startswith("line 3")


def test_a_quote_without_an_end_is_counted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('n,text\n0,x\n1,"y\n2,z\n')
    assert counts_of(tmp_path / "x.csv") == {"text": 2, "bad_record": 1}


def test_long_fields_pass(tmp_path: Path) -> None:
    # The csv module allows 131,072 characters by itself.
    (tmp_path / "x.csv").write_text(f"n,text\n1,{'x' * 200_000}\n")
    assert counts_of(tmp_path / "x.csv") == {"text": 1}
