"""Ingestion without a server, in processes side by side."""

import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion import building
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment
from corpusmill.tasks.ingestion.partitions import FilePartition, plan_partitions
from corpusmill.tasks.stages import corpus
from corpusmill.tasks.stages.progress import Hidden
from tests.corpora import write_jsonl

DEADLY = """
import os, signal


def kill(text: str, language: str) -> str:
    if os.path.basename(os.getcwd()) != "at ease" and "number 7" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return text
"""


class Shown:
    """A bar that keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []

    def show(self, percent: float, description: str) -> None:
        self.shown.append((percent, description))


def _config(folder: Path, *own_steps: str) -> CorpusConfig:
    folder.mkdir()
    for number in range(4):
        texts = [f"The house number {10 * number + n} stands on a hill." for n in range(10)]
        write_jsonl(folder / f"{number}.jsonl", texts)
    return CorpusConfig(sources=(str(folder),), cleaning=CleaningConfig(own_steps=own_steps))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is a partition, large enough for a process of its own."""

    def one_each(fragments: list[Fragment]) -> list[FilePartition]:
        return plan_partitions(fragments, partition_bytes=1)

    monkeypatch.setattr(building, "plan_partitions", one_each)
    monkeypatch.setattr(corpus, "LITTLE_BYTES", 0)


def _ingest(home: Path, config: CorpusConfig) -> Ref:
    return corpus.ingest(Layout(home), config, 2, Hidden())


def test_processes_side_by_side_make_the_same_bytes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config, bar = _config(tmp_path / "text"), Shown()
    alone = _ingest(tmp_path / "alone", config)
    request.getfixturevalue("large")
    together = corpus.ingest(Layout(tmp_path / "together"), config, 2, bar)
    assert content_digest(together) == content_digest(alone)
    assert bar.shown[0] == (0, "clean") and bar.shown[-1][0] == 100
    assert not list((tmp_path / "together" / "artifacts" / "part").iterdir())


def test_a_process_that_is_killed_is_one_sentence_and_what_is_done_is_kept(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "deadly.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(tmp_path / "code")
    config = _config(tmp_path / "text", "deadly:kill")
    with pytest.raises(StackError, match="clean: processes were killed, most likely for want"):
        _ingest(tmp_path / "home", config)
    (tmp_path / "at ease").mkdir()
    monkeypatch.chdir(tmp_path / "at ease")
    assert _ingest(tmp_path / "home", config)


SCRIPT = """
import sys
from functools import partial
from pathlib import Path

from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion import building
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.stages import corpus
from corpusmill.tasks.stages.progress import Hidden

print("begun")
building.plan_partitions = partial(building.plan_partitions, partition_bytes=1)
corpus.LITTLE_BYTES = 0
config = CorpusConfig(sources=(sys.argv[1],))
print(corpus.ingest(Layout(Path(sys.argv[2])), config, 2, Hidden()).kind)
"""


def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    _config(tmp_path / "text")
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [str(tmp_path / name) for name in ("script.py", "text", "home")]
    done = subprocess.run(
        [sys.executable, "-P", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("begun\ncorpus\n", "")
