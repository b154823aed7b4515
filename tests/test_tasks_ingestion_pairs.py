"""Pairs: read from every format with fields, one document each, both sides kept together."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.corpus.pairs import (
    SEPARATOR,
    join_pair,
    pair_sources,
    part_pair,
    part_pairs,
)
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.tasks.ingestion.config import CorpusConfig, DatasetSource, FileSource
from tests.archived import tarred
from tests.corpora import build_of, counts_of, sides_of
from tests.readings import flaw_of, flaws_in, items_of, places_in, real, texts_in, texts_of

PAIRS = [("A dog runs.", "一条狗在跑。"), ('Two men, "both" tall', "两个人"), ("Yes.", "是。")]
FIELDS = ("en", "zh")
NESTED = ("translation.en", "translation.zh")


def _records() -> list[dict[str, object]]:
    return [{"id": n, "en": en, "zh": zh} for n, (en, zh) in enumerate(PAIRS)]


def _lines(records: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _delimited(delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    if delimiter == "\t":
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerows([["zh", "n", "en"], *_columns()])
    return file.getvalue().encode()


def _columns() -> list[tuple[str, int, str]]:
    return [(zh, n, en) for n, (en, zh) in enumerate(PAIRS)]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


FORMATS: dict[str, Callable[[], bytes]] = {
    "x.jsonl": lambda: _lines(_records()),
    "x.jsonl.gz": lambda: gzip.compress(_lines(_records())),
    "x.json": lambda: json.dumps(_records()).encode(),
    "x.csv": lambda: _delimited(","),
    "x.tsv": lambda: _delimited("\t"),
    "x.parquet": lambda: _parquet(pa.Table.from_pylist(_records())),
    "x.arrow": lambda: _arrow(pa.Table.from_pylist(_records())),
    "x.tar": lambda: tarred({"pairs.jsonl": _lines(_records())}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_with_fields_gives_the_same_pairs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMATS[name]())
    assert [part_pair(text) for text in texts_of(tmp_path / name, pair=FIELDS)] == PAIRS
    turned = [(zh, en) for en, zh in PAIRS]
    assert [part_pair(text) for text in texts_of(tmp_path / name, pair=FIELDS[::-1])] == turned


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.arrow"])
def test_both_fields_may_lie_within_another(tmp_path: Path, name: str) -> None:
    records = [{"translation": {"en": en, "zh": zh}} for en, zh in PAIRS]
    table = pa.Table.from_pylist(records)
    data = {
        "x.jsonl": lambda: _lines(records),  # type: ignore[arg-type]
        "x.json": lambda: json.dumps(records).encode(),
        "x.parquet": lambda: _parquet(table),
        "x.arrow": lambda: _arrow(table),
    }[name]()
    (tmp_path / name).write_bytes(data)
    assert [part_pair(text) for text in texts_of(tmp_path / name, pair=NESTED)] == PAIRS


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet", "x.arrow"])
def test_a_pair_with_an_empty_side_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    sides = [("a", "b"), ("", "c"), ("d", " \n"), ("e", "f")]
    records: list[dict[str, object]] = [{"en": en, "zh": zh} for en, zh in sides]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([FIELDS, *sides])
    data = {
        "x.jsonl": lambda: _lines(records),
        "x.json": lambda: json.dumps(records).encode(),
        "x.csv": lambda: table.getvalue().encode(),
        "x.parquet": lambda: _parquet(pa.Table.from_pylist(records)),
        "x.arrow": lambda: _arrow(pa.Table.from_pylist(records)),
    }[name]()
    (tmp_path / name).write_bytes(data)
    items = items_of(tmp_path / name, pair=FIELDS)
    assert [part_pair(text) for text in texts_in(items)] == [("a", "b"), ("e", "f")]
    assert [flaw.reason for flaw in flaws_in(items)] == ["empty_side"] * 2
    assert "nothing in the field 'en', expected a text on both sides" in flaws_in(items)[0].finding
    assert "the field 'zh'" in flaws_in(items)[1].finding
    assert len({*places_in(items), *(flaw.place for flaw in flaws_in(items))}) == 4


@pytest.mark.parametrize(
    ("record", "reason"),
    [({"en": "a"}, "no_text"), ({"en": "a", "zh": None}, "no_text"), ({"en": 3}, "no_text")],
)
def test_a_side_that_is_missing_or_no_string_is_a_flaw(
    tmp_path: Path, record: dict[str, object], reason: str
) -> None:
    (tmp_path / "x.jsonl").write_bytes(_lines([record]))
    assert flaw_of(tmp_path / "x.jsonl", pair=FIELDS).reason == reason
    if record.get("zh", 0) is None:
        (tmp_path / "x.arrow").write_bytes(_arrow(pa.Table.from_pylist([*_records(), record])))
        assert flaw_of(tmp_path / "x.arrow", pair=FIELDS).reason == reason


def test_a_table_without_one_of_the_columns_says_which_there_are(tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        (tmp_path / name).write_bytes(FORMATS[name]())
        found = flaw_of(tmp_path / name, pair=("en", "de")).finding
        assert "no column 'de'" in found and "zh" in found


def test_a_file_without_fields_cannot_hold_pairs(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\tb")
    flaw = flaw_of(tmp_path / "x.txt", pair=FIELDS)
    assert flaw.reason == "no_pairs" and "expected pairs in the fields of .jsonl" in flaw.finding


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_pair_is_parted_where_it_was_joined(source: str, target: str) -> None:
    text = join_pair(source, target)
    assert text.count(SEPARATOR) == 1
    both = part_pair(text)
    assert both == tuple(side.replace(SEPARATOR, "\n").strip() for side in (source, target))


def _corpus(root: Path, *sources: FileSource, **fields: object):  # type: ignore[no-untyped-def]
    return build_of(root, CorpusConfig(sources=sources, **fields))


def test_cleaning_keeps_both_sides_of_a_pair_and_duplicates_are_found(tmp_path: Path) -> None:
    accent = "cafe\u0301"
    pairs = [*PAIRS, (accent, "bell\x07"), PAIRS[0]]
    records: list[dict[str, object]] = [{"en": en, "zh": zh} for en, zh in pairs]
    (tmp_path / "x.jsonl").write_bytes(_lines(records))
    source = FileSource(files=str(tmp_path / "x.jsonl"), name="talks", pair=FIELDS)
    corpus = _corpus(tmp_path, source)
    assert pair_sources(corpus.path) == {"talks"}
    kept = [part_pair(text) for text in sides_of(corpus)]
    assert sorted(kept) == sorted([*PAIRS, ("caf\u00e9", "bell")])
    assert counts_of(corpus)["documents"]["dropped"] == {"duplicate": 1}


def test_what_is_held_out_is_not_trained_on_even_where_it_comes_last(tmp_path: Path) -> None:
    texts = [f"text number {number}" for number in range(40)]
    for name, some in (("train", texts), ("test", texts[10:20])):
        lines = [json.dumps({"text": text}) + "\n" for text in some]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    sources = (
        FileSource(files=str(tmp_path / "train.jsonl")),
        FileSource(files=str(tmp_path / "test.jsonl"), held_out=True),
    )
    sides = sides_of(_corpus(tmp_path, *sources, validation_fraction=0.5))
    assert {text for text, side in sides.items() if side == "validation"} == set(texts[10:20])
    assert len(sides) == 40


def test_two_documents_follow_each_other_for_a_pair(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(_lines(_records()))
    source = FileSource(files=str(tmp_path / "x.jsonl"), name="talks", pair=FIELDS)
    plain = tmp_path / "plain.txt"
    plain.write_text("not a\u2029pair")
    corpus = _corpus(tmp_path, source, FileSource(files=str(plain), name="notes"))
    documents = list(read_documents(corpus.path, "train"))
    columns = ("id", "source", "text")
    batch = pa.record_batch(
        [pa.array([getattr(each, name) for each in documents]) for name in columns[:2]]
        + [pa.array([each.text for each in documents], pa.large_string())],
        names=list(columns),
    )
    parted = part_pairs(batch, pair_sources(corpus.path))
    ids = np.array(parted.column("id").to_pylist())
    for document in documents:
        texts = [
            t
            for t, i in zip(parted.column("text").to_pylist(), ids, strict=True)
            if i == document.id
        ]
        expected = [document.text] if document.source == "notes" else [*part_pair(document.text)]
        assert texts == expected


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pair": ["en", "en"]}, "expected two different names"),
        ({"pair": ["en", ""]}, "expected two different names"),
        ({"held_out": True}, "every source is held out"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=sentence):
        CorpusConfig(sources=({"files": "/x.jsonl", **fields},))


def test_a_dataset_may_hold_pairs_within_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    records = [{"translation": {"en": en, "zh": zh}, "n": 1} for en, zh in PAIRS]
    datasets.Dataset.from_list(records).save_to_disk(str(tmp_path / "saved"))
    source = DatasetSource(dataset=str(tmp_path / "saved"), pair=NESTED)
    corpus = build_of(tmp_path, CorpusConfig(sources=(source,)))
    assert sorted(part_pair(text) for text in sides_of(corpus)) == sorted(PAIRS)
    with pytest.raises(CorpusError, match="no column 'text', only"):
        build_of(tmp_path, CorpusConfig(sources=(DatasetSource(dataset=source.dataset),)))


def test_real_pairs_come_whole() -> None:
    path = real("bible_kjv_cuv") / "bible_en_zh.jsonl.gz"
    texts = texts_of(path, pair=FIELDS)
    assert len(texts) == 31_098
    assert part_pair(texts[0])[0] == "In the beginning God created the heaven and the earth."
