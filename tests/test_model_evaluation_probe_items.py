"""Items of probes: how they are read, which of them are asked, and what is refused."""

import gzip
import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.model.config import EvaluationConfig, ProbeConfig, ProbeKind
from corpusmill.model.evaluation.probe_items import Item, probe_identity, read_items
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusError
from tests.probes import ITEMS, write_probe


def items_of(folder: Path, kind: ProbeKind, *lines: Any, **fields: Any) -> list[Item]:
    path = folder / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return read_items(ProbeConfig(name="p", files=str(path), kind=kind, **fields))


@pytest.mark.parametrize("answer", [{"answer": 1}, {"answerKey": "B"}, {"gold": 1, "answerKey": 7}])
def test_choices_are_read_as_hugging_face_has_them(tmp_path: Path, answer: dict[str, Any]) -> None:
    choices = {"text": ["rain", "river"], "label": ["A", "B"]}
    (theirs,) = items_of(
        tmp_path, "multiple_choice", {"question": "old", "choices": choices} | answer
    )
    (ours,) = items_of(
        tmp_path, "multiple_choice", {"query": "old", "choices": choices["text"], "gold": 1}
    )
    assert theirs == ours and ours.options == (("old", " rain"), ("old", " river"))


def test_an_item_whose_answer_is_also_a_wrong_one_is_left_out(tmp_path: Path) -> None:
    pair = {"sentence_good": "the rain fell", "sentence_bad": "the rain fell "}
    with pytest.raises(CorpusError, match="has no item"):
        items_of(tmp_path, "minimal_pairs", pair)
    choices = {"question": "a", "choices": ["b", "c", "c"]}
    items = items_of(tmp_path, "multiple_choice", *(choices | {"answer": n} for n in range(3)))
    assert [item.gold for item in items] == [0]


def test_what_stands_before_a_continuation_is_said_by_the_probe(tmp_path: Path) -> None:
    word = {"context": "我们在这里等他", "continuation": "回来"}
    (item,) = items_of(tmp_path, "last_word", word, delimiter="")
    assert (item.options, item.sizes) == ((("我们在这里等他", "回来"),), (6,))
    pair = {"sentence_good": "雨下了", "sentence_bad": "下雨了了"}
    (item,) = items_of(tmp_path, "minimal_pairs", pair, delimiter="")
    assert (item.options, item.sizes) == ((("", "雨下了"), ("", "下雨了了")), (9, 12))
    choices = {"question": "雨", "choices": [" 下", "了"], "answer": 0}
    (item,) = items_of(tmp_path, "multiple_choice", choices, delimiter="\n")
    assert (item.options, item.sizes) == ((("雨", "\n 下"), ("雨", "\n了")), (4, 3))


@pytest.mark.parametrize("space", [" ", "  ", "\n", "\u3000"])
def test_the_last_word_of_a_text_keeps_the_space_that_stands_there(
    tmp_path: Path, space: str
) -> None:
    text = {"text": f"the old rain{space}rain\n"}
    (item,) = items_of(tmp_path, "last_word", text)
    assert (item.options, item.sizes) == ((("the old rain", f"{space}rain"),), (4,))


def test_a_text_without_spaces_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="context and continuation, or text with a space before"):
        items_of(tmp_path, "last_word", {"text": "我们在这里等他回来"})


def test_items_are_chosen_by_their_texts_alone(tmp_path: Path) -> None:
    probe = write_probe(tmp_path, "minimal_pairs", items=4)
    chosen = read_items(probe)
    lines = [json.dumps(each | {"UID": "y"}) for each in reversed(ITEMS["minimal_pairs"])]
    with gzip.open(tmp_path / "other.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n\n".join([*lines, lines[0]]))
    other = probe.model_copy(update={"files": str(tmp_path / "o*.gz")})
    assert read_items(other) == chosen and len(chosen) == 4
    assert len(read_items(other.model_copy(update={"items": 100}))) == 9


def test_the_identity_is_of_what_is_asked_wherever_it_lies(tmp_path: Path) -> None:
    probe = write_probe(tmp_path, "minimal_pairs", items=4)
    lines = [json.dumps(each) for each in ITEMS["minimal_pairs"]]
    # In two files, whose names say nothing, and with fields that are not read.
    for folder, parts in [("a", (lines[:5], lines[5:])), ("b", (lines[5:], lines[:5]))]:
        (tmp_path / folder).mkdir()
        for name, part in zip("12", parts, strict=True):
            (tmp_path / folder / f"{name}.jsonl").write_text("\n\n".join(part) + "\n")
    for folder in "ab":
        moved = probe.model_copy(update={"files": str(tmp_path / folder / "*.jsonl")})
        assert probe_identity(moved) == probe_identity(probe)
    for change in ({"items": 5}, {"name": "other"}, {"delimiter": ""}):
        assert probe_identity(probe.model_copy(update=change)) != probe_identity(probe)
    before = probe_identity(probe)
    Path(probe.files).write_text("\n".join(lines[:4]))
    assert probe_identity(probe) != before


def test_files_that_have_not_changed_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, loads, parsed = write_probe(tmp_path, "last_word"), json.loads, list[str]()

    def counted(line: str) -> Any:
        parsed.append(line)
        return loads(line)

    monkeypatch.setattr(json, "loads", counted)
    assert read_items(probe) == read_items(probe) and probe_identity(probe)
    assert len(parsed) == len(ITEMS["last_word"])


def test_a_file_of_many_items_is_read_in_the_memory_of_those_asked(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            pair = {"sentence_good": f"{number} {'a ' * 100}", "sentence_bad": f"{number} b"}
            file.write(json.dumps(pair) + "\n")
    probe = ProbeConfig(name="p", files=str(path), kind="minimal_pairs", items=10)
    tracemalloc.start()
    try:
        chosen = read_items(probe)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 10
    every = read_items(probe.model_copy(update={"items": 30_000}))
    assert len(every) == 20_000 and chosen == every[:10]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("minimal_pairs", {"sentence_good": "a"}),
        ("minimal_pairs", {"sentence_good": "a", "sentence_bad": " "}),
        ("minimal_pairs", ["a", "b"]),
        ("minimal_pairs", {"sentence_good": "a", "sentence_bad": "\ud800"}),
        ("last_word", {"text": "one"}),
        ("last_word", {"context": "a", "continuation": 3}),
        ("multiple_choice", {"question": "a", "choices": ["b"], "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answer": 2}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answer": True}),
        ("multiple_choice", {"question": "a", "choices": 3, "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": "bc", "answer": 0}),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": "bc", "label": ["A", "B"]}, "answer": 0},
        ),
        ("multiple_choice", {"question": "a", "choices": {"b": 1, "c": 2}, "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answerKey": "B"}),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answer": "B"},
        ),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "A"]}, "answer": 0},
        ),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": 1},
        ),
    ],
)
def test_what_is_no_item_is_told_with_its_line(tmp_path: Path, kind: ProbeKind, line: Any) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(ITEMS[kind][0])}\n{json.dumps(line)}\n")
    with pytest.raises(CorpusError, match=rf"Line 2 of .*bad.jsonl is no item of {kind}; expected"):
        read_items(ProbeConfig(name="p", files=str(path), kind=kind))


def test_marks_of_byte_order_and_names_of_packed_files_do_not_matter(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(ITEMS["last_word"][1]).encode() + b"\r\n"
    for name, written in [
        ("bom.jsonl", data),
        ("packed.JSONL.GZ", gzip.compress(data)),
        ("packed.jsonl", gzip.compress(data)),
        ("plain.gz", data),
    ]:
        (tmp_path / name).write_bytes(written)
        probe = ProbeConfig(name="p", files=str(tmp_path / name), kind="last_word")
        assert len(read_items(probe)) == 1


@pytest.mark.parametrize("read", [read_items, probe_identity])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("a" * 300 + ".jsonl", "cannot be looked up"),
        ("**x/*.jsonl", "cannot be looked up|there is no such file"),  # from Python 3.13 on
        ("a\0b.jsonl", "cannot be looked up|there is no such file"),
        ("closed/a.jsonl", "cannot be looked up"),
        ("locked.jsonl", "cannot be read"),
    ],
)
def test_files_that_cannot_be_reached_are_told_in_a_sentence(
    read: Callable[[ProbeConfig], Any], files: str, said: str
) -> None:
    user = os.geteuid()
    # Not in a folder of pytest, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        locked, closed = Path(folder, "locked.jsonl"), Path(folder, "closed")
        closed.mkdir()
        for path in (locked, closed / "a.jsonl"):
            path.write_text(json.dumps(ITEMS["last_word"][1]))
        probe = ProbeConfig(name="p", files=f"{folder}/{files}", kind="last_word")
        Path(folder).chmod(0o755)
        locked.chmod(0)
        closed.chmod(0)
        try:
            if user == 0:
                os.seteuid(65534)  # whom modes bind
            with pytest.raises(CorpusError, match=said):
                read(probe)
        finally:
            os.seteuid(user)
            closed.chmod(0o755)


def test_files_that_are_none_are_told_in_a_sentence(tmp_path: Path) -> None:
    for name, data, said in [
        ("broken.jsonl.gz", b"\x1f\x8b\x08no", "cannot be read"),
        ("latin.jsonl", b'{"text": "caf\xe9 au lait"}', "cannot be read"),
        ("empty.jsonl", b"\n", "has no item"),
    ]:
        (tmp_path / name).write_bytes(data)
        probe = ProbeConfig(name="p", files=str(tmp_path / name), kind="last_word")
        with pytest.raises(CorpusError, match=said):
            read_items(probe)
    with pytest.raises(CorpusError, match="there is no such file"):
        read_items(ProbeConfig(name="p", files=str(tmp_path / "*.json"), kind="last_word"))
    with pytest.raises(ConfigError, match="no absolute path"):
        parse(ProbeConfig, {"name": "p", "files": "text.jsonl", "kind": "last_word"})
    same = {"name": "p", "files": "/text.jsonl", "kind": "last_word"}
    with pytest.raises(ConfigError, match="expected each name once"):
        parse(EvaluationConfig, {"probes": [same, same]})
