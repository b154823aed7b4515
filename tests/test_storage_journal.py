"""The journal: complete records, once each, from one writer at a time."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.journal import JournalReader, JournalWriter

WRITER = """
import sys, time
from pathlib import Path
from corpusmill.storage.journal import JournalWriter
writer = JournalWriter(Path(sys.argv[1]))
writer.write("first")
print("writing", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def other_writer(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the journal."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_a_record_is_seen_at_once_with_its_fields_and_time(path: Path) -> None:
    writer, reader = JournalWriter(path), JournalReader(path)
    writer.write("metrics", step=3, metrics={"train/loss": 1.5})
    (record,) = reader.read()
    assert record.pop("time") > 0
    assert record == {"event": "metrics", "step": 3, "metrics": {"train/loss": 1.5}}


def test_a_reader_gets_each_record_once(path: Path) -> None:
    writer, reader = JournalWriter(path), JournalReader(path)
    seen = []
    for step in range(3):
        writer.write("step", step=step)
        seen.append([record["step"] for record in reader.read()])
    assert [*seen, reader.read()] == [[0], [1], [2], []]


def test_a_journal_that_is_not_there_yet_is_empty(path: Path) -> None:
    reader = JournalReader(path)
    assert reader.read() == []
    JournalWriter(path).write("begun")
    assert [record["event"] for record in reader.read()] == ["begun"]


@given(texts=st.lists(st.text(), max_size=5), cuts=st.lists(st.floats(0, 1), max_size=5))
def test_a_reader_never_sees_part_of_a_record_wherever_the_file_ends(
    texts: list[str], cuts: list[float]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, growing = Path(folder) / "whole", Path(folder) / "growing"
        writer = JournalWriter(whole)
        for text in texts:
            writer.write("text", text=text)
        writer.close()
        data = whole.read_bytes()
        reader, seen = JournalReader(growing), []
        ends = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
        for start, end in pairwise(ends):
            with growing.open("ab") as file:
                file.write(data[start:end])
            seen += reader.read()
    assert [record["text"] for record in seen] == texts


def test_a_line_that_a_crash_cut_is_closed_and_skipped(path: Path) -> None:
    path.write_bytes(b'{"event": "whole"}\n{"event": "cu')
    reader = JournalReader(path)
    before = reader.read()
    JournalWriter(path).write("next")
    assert [record["event"] for record in before + reader.read()] == ["whole", "next"]
    assert path.read_bytes().startswith(b'{"event": "whole"}\n{"event": "cu\n')


@pytest.mark.parametrize("line", [b"\x00" * 20, b"[1, 2]", b"17", b"\xff\xfe", b""])
def test_a_line_that_is_no_record_is_skipped(path: Path, line: bytes) -> None:
    path.write_bytes(line + b"\n" + json.dumps({"event": "good"}).encode() + b"\n")
    assert [record["event"] for record in JournalReader(path).read()] == ["good"]


@pytest.mark.usefixtures("other_writer")
def test_a_second_writer_is_refused_while_the_first_lives(path: Path) -> None:
    with pytest.raises(ArtifactError, match="being written by another process"):
        JournalWriter(path, patience=0.3)


def test_a_second_writer_may_write_once_the_first_is_dead(
    path: Path, other_writer: "subprocess.Popen[str]"
) -> None:
    other_writer.send_signal(signal.SIGKILL)
    JournalWriter(path, patience=5).write("second")
    assert [record["event"] for record in JournalReader(path).read()] == ["first", "second"]
