"""The block list and decontamination: what is planted is found, and nothing else."""

import bz2
import csv
import gzip
import json
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import DocumentBatch, make_batch
from corpusmill.tasks.ingestion.cleaning import phrases as phrases_module
from corpusmill.tasks.ingestion.cleaning.blocklist import read_blocklist
from corpusmill.tasks.ingestion.cleaning.contamination import read_contamination
from corpusmill.tasks.ingestion.cleaning.evaluation_text import read_texts
from corpusmill.tasks.ingestion.cleaning.phrases import PhraseMatcher
from corpusmill.tasks.ingestion.stats import SAMPLES, Stats

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
QUESTION = "Which of these animals sleeps through the whole winter in a den below the snow?"


def _block(*texts: str) -> DocumentBatch:
    return make_batch("source", "file", texts, "line", range(len(texts)))


def _blocked(tmp_path: Path, phrases: str, *texts: str) -> tuple[list[str], Stats]:
    file = tmp_path / "list.txt"
    file.write_text(phrases, encoding="utf-8")
    stats = Stats()
    return read_blocklist(str(file))(_block(*texts), stats).texts.to_pylist(), stats


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(phrases_module, "compiled", lambda: False)


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("a BadWord here", True),
        ("badword's end", True),
        ("badword.com", True),
        ("badwords here", False),
        ("a two  word\nphrase.", True),
        ("two, word phrase", False),
        ("这里有敏感词吗", True),
        ("这里有敏感的词", False),
        ("Cafe\u0301 NOIR".encode().decode(), False),
        ("CAFÉ noir", True),
        ("", False),
    ],
)
def test_phrases_are_found_between_words(
    either: None, tmp_path: Path, text: str, blocked: bool
) -> None:
    kept, _ = _blocked(tmp_path, "badword\ntwo word phrase\n敏感词\n\ncafé noir\n", text)
    assert kept == ([] if blocked else [text])


def test_a_sample_tells_the_phrase(tmp_path: Path) -> None:
    _, stats = _blocked(tmp_path, "one\ntwo", "has two", "fine", "has one")
    assert [(s.place, s.detail) for s in stats.all_samples()] == [
        ("line 0", "two"),
        ("line 2", "one"),
    ]


def test_all_documents_are_counted_when_samples_are_full(tmp_path: Path) -> None:
    kept, stats = _blocked(tmp_path, "bad", *["bad"] * 30, "good")
    assert kept == ["good"]
    assert stats.dropped_by_reason() == {"blocklist": 30}
    assert len(stats.samples["blocklist"]) == SAMPLES


def test_a_list_that_is_missing_empty_or_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        read_blocklist(str(tmp_path / "missing.txt"))
    with pytest.raises(CorpusError, match="is empty"):
        _blocked(tmp_path, "\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_blocklist(str(tmp_path / "latin.txt"))


def _contaminated(tmp_path: Path, evaluation: str, *texts: str) -> tuple[list[str], Stats]:
    file = tmp_path / "questions.txt"
    file.write_text(evaluation, encoding="utf-8")
    stats = Stats()
    kept = read_contamination((str(file),), 13)(_block(*texts), stats)
    return kept.texts.to_pylist(), stats


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Before it. {QUESTION} After it.", True),
        (QUESTION.upper().replace(" ", ", "), True),
        (" ".join(QUESTION.split()[:13]), True),
        (" ".join(QUESTION.split()[:12]), False),
        (QUESTION.replace("winter", "summer"), False),
    ],
)
def test_thirteen_words_in_a_row_are_found(
    either: None, tmp_path: Path, text: str, found: bool
) -> None:
    assert _contaminated(tmp_path, QUESTION, text)[0] == ([] if found else [text])


def test_short_questions_count_as_a_whole_and_very_short_ones_do_not(
    either: None, tmp_path: Path
) -> None:
    evaluation = "What colour is the sky on other planets?\nWho was the first president?"
    texts = ["so what colour is the sky on other planets then", "who was the first president"]
    assert _contaminated(tmp_path, evaluation, *texts)[0] == texts[1:]


def test_chinese_needs_a_longer_sequence(either: None, tmp_path: Path) -> None:
    question = "下列哪一座城市在历史上曾经做过六个朝代的都城并且位于长江下游地区"
    texts = [f"请问{question}？", question[:20] + "吗"]
    kept, stats = _contaminated(tmp_path, question, *texts)
    assert kept == texts[1:]
    assert next(stats.all_samples()).detail == f"questions.txt: {question}"


def test_evaluation_text_is_read_from_every_format(tmp_path: Path) -> None:
    row = {"question": "Q é", "choices": ["A", "B"], "answer": 1, "more": {"why": "C"}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n\n" + json.dumps(row))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps([row]).encode()))
    (tmp_path / "c.csv").write_text('Q é,"A\nB"\n')
    (tmp_path / "d.txt").write_text("Q é\n\nA\n")
    (tmp_path / "f.txt.bz2").write_bytes(bz2.compress("Q é\n".encode("utf-16")))
    (tmp_path / "g.html").write_text("<p>Q é</p>")
    table = pa.table({"q": ["Q é"], "n": [1], "c": [["A", "B"]]})
    pq.write_table(table, tmp_path / "e.parquet")
    # As `datasets` keeps them.
    with pa.ipc.new_stream(tmp_path / "h.arrow", table.schema) as stream:
        stream.write_table(table)
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        archive.writestr("d.txt", "Q é\n\nA\n")
    read = {path.name: list(read_texts(path)) for path in sorted(tmp_path.iterdir())}
    assert read == {
        "a.jsonl": ["Q é", "A", "B", "C"] * 2,
        "b.json.gz": ["Q é", "A", "B", "C"],
        "c.csv": ["Q é", "A\nB"],
        "d.txt": ["Q é", "A"],
        "e.parquet": ["Q é", "A", "B"],
        "f.txt.bz2": ["Q é"],
        "g.html": ["Q é"],
        "h.arrow": ["Q é", "A", "B"],
        "i.zip": ["Q é", "A"],
    }


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_an_archive_of_which_one_field_alone_would_be_read_is_refused(
    tmp_path: Path, name: str
) -> None:
    rows = {"a.csv": "text,answer\nQ,A\n"}.get(name, '{"text": "Q", "answer": "A"}')
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, rows)
    with pytest.raises(CorpusError, match=r"cannot be read \(a\..*; unpack an archive"):
        list(read_texts(tmp_path / "a.zip"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b"{"),
        ("a.txt", b"\xff"),
        ("a.parquet", b"no"),
        ("a.xls", b""),
        ("a.txt.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20),
        ("a.json", b"[" * 100_000),
        ("a.json", b'"half \\ud800 of a pair"'),
    ],
)
def test_bad_evaluation_text_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_contamination((str(tmp_path / name),), 13)


def test_a_pattern_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="matches no file"):
        read_contamination((str(tmp_path / "*.jsonl"),), 13)
    with pytest.raises(CorpusError, match="matches no file"):
        read_contamination((str(tmp_path / "**x"),), 13)


def test_tables_of_evaluation_text_leave_the_readers_of_a_corpus_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Q,A\n")
    limit = csv.field_size_limit()
    assert list(read_texts(tmp_path / "a.csv")) == ["Q", "A"]
    assert csv.field_size_limit() == limit


_WORDS = st.lists(
    st.sampled_from(["a", "B", "it's", ",", "字", "词", "3.5", "x_y", "ﬁ", "é"]), max_size=12
)


@settings(max_examples=60)
@given(st.lists(_WORDS, min_size=1, max_size=4), _WORDS, st.integers(1, 6), st.booleans())
def test_compiled_and_plain_find_the_same(
    texts: list[list[str]], document: list[str], width: int, marks: bool
) -> None:
    wanted = PhraseMatcher(tuple(map(" ".join, texts)), width, 2, marks)
    documents = pa.array([" ".join(document), "".join(document)], pa.large_string())
    compiled = wanted.find(documents).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrases_module, "compiled", lambda: False)
        plain = wanted.find(documents).tolist()
    assert compiled == plain


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data is not beside the checkout")
def test_lambada_and_blimp_planted_in_speeches_are_found() -> None:
    patterns = (str(DATA / "lambada" / "*.jsonl"), str(DATA / "blimp" / "*.gz"))
    step = read_contamination(patterns, 13)
    with gzip.open(DATA / "sotu" / "sotu.jsonl.gz", "rt", encoding="utf-8") as file:
        speeches = [json.loads(line)["text"] for line, _ in zip(file, range(60), strict=False)]
    planted = random.Random(3).sample(
        [text for text in step.phrases.texts if len(text.split()) >= 14], 30
    )
    dirty = [
        f"{speech[:500]} {text} {speech[500:]}"
        for speech, text in zip(speeches, planted, strict=False)
    ]
    stats = Stats()
    kept = step(_block(*speeches, *dirty), stats)
    assert kept.texts.to_pylist() == speeches
    assert stats.dropped_by_reason() == {"contaminated": 30}
