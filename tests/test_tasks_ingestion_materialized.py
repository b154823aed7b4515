"""A dataset of the `datasets` library becomes one local file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.config import CorpusConfig, DatasetSource
from corpusmill.tasks.ingestion.fragments import SourceFile
from corpusmill.tasks.ingestion.sources import digest_sources, resolve

TEXTS = ["one", "二", "three", "four"]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = datasets.Dataset.from_dict({"text": [*TEXTS, None], "n": range(5)})
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=data, test=data.select(range(2))).save_to_disk(
        str(tmp_path / "several")
    )
    lines = (json.dumps({"n": n, "text": f"{n}"}) + "\n" for n in range(2500))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.jsonl").write_text("".join(lines))
    return tmp_path


def _file(saved: Path, folder: str, **fields: Any) -> SourceFile:
    source = DatasetSource(dataset=str(saved / folder), **fields)
    ((file,),) = (s.files for s in resolve(CorpusConfig(sources=(source,)), saved / "downloads"))
    return file


def _texts(file: SourceFile) -> list[Any]:
    table = pa.ipc.open_file(file.path).read_all()
    assert table.column_names == [file.text_field]
    texts: list[Any] = table.column(0).to_pylist()
    return texts


def test_a_saved_dataset_becomes_one_column(saved: Path) -> None:
    file = _file(saved, "one")
    assert _texts(file) == [*TEXTS, None]
    assert (file.source, file.name) == ("one", "one-train.arrow")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_data_files_is_taken(saved: Path, streaming: bool) -> None:
    file = _file(saved, "folder", streaming=streaming)
    assert _texts(file) == [str(n) for n in range(2500)]


def test_streaming_makes_no_other_bytes(saved: Path) -> None:
    file = _file(saved, "folder")
    file.path.unlink()
    assert _file(saved, "folder", streaming=True).digest == file.digest


@pytest.mark.parametrize("streaming", [False, True])
def test_no_more_documents_than_asked_for(saved: Path, streaming: bool) -> None:
    file = _file(saved, "folder", max_documents=1500, streaming=streaming)
    assert _texts(file) == [str(n) for n in range(1500)]


def test_what_is_materialized_is_not_materialized_again(saved: Path) -> None:
    first = _file(saved, "folder")
    assert _file(saved, "folder") == first
    assert _file(saved, "folder", max_documents=3).path != first.path


def test_a_folder_that_changed_is_materialized_again(saved: Path) -> None:
    first = _file(saved, "folder")
    (saved / "folder" / "y.jsonl").write_text('{"n": 1, "text": "new"}\n')
    assert _texts(_file(saved, "folder"))[-1] == "new"
    assert _file(saved, "folder").path != first.path


def test_the_digest_does_not_depend_on_where_downloads_lie(saved: Path) -> None:
    config = CorpusConfig(sources=(DatasetSource(dataset=str(saved / "one")),))
    digests = {digest_sources(resolve(config, saved / folder)) for folder in ("a", "b")}
    assert len(digests) == 1


def test_texts_may_follow_rows_without_any(saved: Path) -> None:
    lines = ['{"text": null}\n'] * 1500 + ['{"text": "late"}\n'] * 2
    (saved / "folder" / "x.jsonl").write_text("".join(lines))
    assert _texts(_file(saved, "folder", streaming=True)) == [None] * 1500 + ["late"] * 2


@pytest.mark.parametrize(
    ("folder", "split", "texts"),
    [
        ("several", "test", TEXTS[:2]),
        ("several", "train[1:3]", TEXTS[1:3]),
        ("several", "train[:20%]+test[-1:]", [TEXTS[0], TEXTS[1]]),
        ("one", "train[:2]", TEXTS[:2]),
        ("named", None, TEXTS[:2]),
        ("named", "test", TEXTS[:2]),
    ],
)
def test_the_split_that_was_asked_for_is_read(
    saved: Path, folder: str, split: str | None, texts: list[str]
) -> None:
    part = datasets.Dataset.from_dict({"text": TEXTS[:2]}, split=datasets.Split.TEST)
    part.save_to_disk(str(saved / "named"))
    assert _texts(_file(saved, folder, split=split)) == texts


@pytest.mark.parametrize("streaming", [False, True])
def test_files_of_a_dataset_that_do_not_fit_together_are_a_sentence(
    saved: Path, streaming: bool
) -> None:
    (saved / "folder" / "a.jsonl").write_text('{"text": null}\n')
    (saved / "folder" / "b.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(CorpusError, match=r"Couldn't cast array of type string to null.*by itself"):
        _file(saved, "folder", streaming=streaming)


def test_an_own_column_is_taken(saved: Path) -> None:
    assert _texts(_file(saved, "one", text_field="n")) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("folder", "fields", "message"),
    [
        ("several", {"split": "dev"}, "its splits are train, test"),
        ("several", {"split": "test[:x%]"}, "its splits are train, test"),
        ("one", {"split": "test"}, "its splits are train"),
        ("one", {"config": "nine"}, "its configuration is default"),
        ("none", {}, "is no folder"),
        ("one", {"text_field": "body"}, "has no column 'body', only text, n"),
        ("folder", {"text_field": "body", "streaming": True}, "no column 'body', only n, text"),
        ("folder", {"split": "dev"}, "split 'dev'"),
        ("folder", {"config": "nine"}, "configuration 'nine'"),
    ],
)
def test_a_dataset_that_does_not_fit_is_a_sentence(
    saved: Path, folder: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        _file(saved, folder, **fields)
    assert message in str(caught.value)
    assert not list((saved / "downloads").rglob("*.arrow"))


def test_a_hub_out_of_reach_may_be_tried_again(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from corpusmill.tasks.ingestion.config import CorpusConfig, DatasetSource
from corpusmill.tasks.ingestion.sources import resolve
from corpusmill.storage.errors import CorpusError, CorpusmillError
try:
    resolve(CorpusConfig(sources=(DatasetSource(dataset="owner/name"),)), Path("downloads"))
except CorpusmillError as error:
    print(isinstance(error, CorpusError), error)
"""
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("False the dataset owner/name cannot be reached")
