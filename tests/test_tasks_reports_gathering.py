"""What a report gathers of the text: whatever a person would have to read the log for."""

from pathlib import Path
from typing import Any

import pytest

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.manifest import write_json
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.nights import misfit_of
from corpusmill.tasks.reports.gathering import take_in
from tests.corpora import build_of, speeches, write_jsonl


def test_sources_languages_and_files_that_gave_nothing_are_said(tmp_path: Path) -> None:
    first, second = speeches(2)
    full = write_jsonl(tmp_path / "full.jsonl", [first, second])
    empty = write_jsonl(tmp_path / "empty.jsonl", [])
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'{"text": "\n')
    sources = [FileSource(files=str(each), name=each.stem) for each in (full, empty, bad)]
    cleaning: dict[str, Any] = {"languages": ["en", "de"]}
    config = CorpusConfig(sources=tuple(sources), cleaning=cleaning, max_unread=1.0)
    intake = take_in(build_of(tmp_path / "home", config), [], ["said before"])
    assert "bad.jsonl" in intake.unread[0]
    assert intake.warnings[0] == "The source empty gave nothing: its files hold no document."
    assert any(each.startswith("Nothing in German was kept") for each in intake.warnings)
    assert intake.warnings[-1] == "said before"


def test_files_that_the_manifest_has_no_room_for_are_said_to_be_there(tmp_path: Path) -> None:
    full = write_jsonl(tmp_path / "full.jsonl", speeches(2))
    for number in range(25):
        (tmp_path / f"{number}.jsonl").write_bytes(b'{"text": "\n')
    config = CorpusConfig(sources=(str(full), str(tmp_path / "*.jsonl")), max_unread=1.0)
    intake = take_in(build_of(tmp_path / "home", config), [])
    assert len(intake.unread) == 20
    assert intake.warnings[0].startswith("Still more files were not read, or not whole: in all 25")


@pytest.mark.parametrize(("tokens", "said"), [(140, False), (160, True)])
def test_a_tokenizer_that_was_made_for_other_text_is_said(
    tmp_path: Path, tokens: int, said: bool
) -> None:
    def shards(name: str, tokens: int) -> Ref:
        path = tmp_path / name
        path.mkdir()
        counts = {"train": {"tokens": tokens, "bytes": 400}}
        write_json(path / "manifest.json", {"files": [], "counts": counts})
        return Ref("shards", name, path)

    warning = misfit_of(shards("new", tokens), [shards("old", 100)])
    assert bool(warning) == said
    assert not said or "1.6 times the tokens a byte" in str(warning)
