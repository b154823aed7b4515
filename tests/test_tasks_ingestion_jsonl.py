"""JSON Lines: the compiled reader and the exact one agree, and a bad line costs itself only."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tasks.ingestion import compiled
from corpusmill.tasks.ingestion.batches import Repaired
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, Reading, SourceFile
from corpusmill.tasks.ingestion.readers import jsonl
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.readers.lines import PADDING, Lines
from corpusmill.tasks.ingestion.readers.sanitizer import Item, Sanitizer
from tests.readings import counts_of, flaws_in, items_of, places_in, texts_in, texts_of

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_KEYS = st.sampled_from(["text", "txt", "te\\u0078t", "a", "", "texts"])
_PIECES = st.sampled_from(
    [
        *'{}[]:,"\\ \t\r0-+.eE\x00\x0b\x7f\ufeffé',
        *("\\u", "\\ud83d", "\\ude00", "\\u0000", "\\n", "null", "true", "tru"),
        *('"text"', "1e5", "01", "NaN"),
    ]
)


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """An object, well written or not, with text among other fields."""
    fields = draw(st.lists(st.tuples(_KEYS, _VALUES), max_size=4))
    text = st.text(max_size=30) | st.text(st.characters(codec=None), max_size=4)
    fields.insert(draw(st.integers(0, len(fields))), ("text", draw(text | _VALUES)))
    ascii_only = draw(st.booleans())
    body = ", ".join(
        f'"{key}":{json.dumps(value, ensure_ascii=ascii_only)}' for key, value in fields
    )
    line = f"{{{body}}}".encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    for fragment in draw(st.lists(_PIECES | st.binary(max_size=2), max_size=2)):
        at = draw(st.integers(0, len(line)))
        insert = fragment.encode() if isinstance(fragment, str) else fragment.replace(b"\n", b"")
        line = line[:at] + insert + line[at + draw(st.integers(0, 2)) :]
    return line


def _sanitizer(**fields: Any) -> Sanitizer:
    file = SourceFile("s", "x", Path("/x.jsonl"), 0, "", 0, Format("jsonl"), "text", "auto", "file")
    return Sanitizer(Reading(Fragment(file), CorpusConfig(**fields)))


def _summary(items: list[Item]) -> tuple[Any, ...]:
    repairs = [item for item in items if isinstance(item, Repaired)]
    return texts_in(items), places_in(items), flaws_in(items), repairs


@settings(max_examples=150)
@given(st.lists(_lines(), max_size=6), st.sampled_from(["drop", "repair"]))
def test_the_fast_and_the_exact_reader_agree(lines: list[bytes], policy: str) -> None:
    data = Lines(b"".join(line + b"\n" for line in lines) + PADDING, 1)
    fast = list(jsonl.read_fast(data, _sanitizer(on_bad_text=policy), "line"))
    exact = list(jsonl.read_exactly(data, _sanitizer(on_bad_text=policy), "line"))
    assert _summary(fast) == _summary(exact)


@settings(max_examples=100)
@given(st.lists(st.text(), max_size=9), st.booleans())
def test_what_json_writes_is_read(texts: list[str], ascii_only: bool) -> None:
    sound = [text.replace("\0", "").replace("\r", "\n") for text in texts]
    lines = [
        json.dumps({"meta": {"a": [1, {"text": "no"}]}, "text": text}, ensure_ascii=ascii_only)
        for text in sound
    ]
    data = Lines("".join(line + "\n" for line in lines).encode() + PADDING, 1)
    items = list(jsonl.read_fast(data, _sanitizer(), "line"))
    assert texts_in(items) == sound


def test_lines_that_are_sound_need_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "parse_exactly", None)
    monkeypatch.setattr(jsonl, "read_exactly", None)
    line = (
        '{"a": {"text": [1, -2.5e+3, true, null, {}, [], "\\u00e9"]}, '
        '"text" : "\\"\\\\\\/\\b\\f\\n\\r\\n\\t\\u00e9\\ud83d\\ude00 三"}\r\n \n'
    )
    items = list(jsonl.read_fast(Lines(line.encode() + PADDING, 1), _sanitizer(), "line"))
    assert texts_in(items) == ['"\\/\b\f\n\n\té\U0001f600 三']


def test_without_the_kernel_the_same_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n\n[]\n{"text": "b"}')
    fast = _summary(items_of(tmp_path / "x.jsonl"))
    monkeypatch.setattr(jsonl, "load_kernel", lambda: None)
    assert _summary(items_of(tmp_path / "x.jsonl")) == fast


def test_without_a_folder_for_compiled_code_the_same_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError(f"cannot cache functions of {name}")

    monkeypatch.setattr(compiled, "import_module", fail)
    monkeypatch.setattr(jsonl, "import_compiled", compiled.import_compiled.__wrapped__)
    (tmp_path / "x.jsonl").write_text('{"text": "a"}')
    assert texts_of(tmp_path / "x.jsonl") == ["a"]
    assert "numba does not work here (cannot cache" in caplog.text


def test_the_text_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"正文": "b", "text": 1}')
    assert texts_of(tmp_path / "x.jsonl", text_field="正文") == ["b"]


@pytest.mark.parametrize(
    ("line", "reason", "finding"),
    [
        (b'{"text": "a', "bad_json", "Unterminated string"),
        (b"[" * 100_000, "bad_json", "no JSON value"),
        (b"[1]", "bad_json", "a JSON array"),
        (b'{"txt": "a", "n": 1}', "no_text", "missing, expected a string (fields: txt, n)"),
        (b'{"text": null}', "no_text", "is null"),
        (b'{"text": 12}', "no_text", "is a number"),
        (b'{"text": ["a"]}', "no_text", "is an array"),
        (b'{"text": "a", "text": null}', "no_text", "is null"),
        (b'{"text": "a"} {"text": "b"}', "bad_json", "Extra data"),
        (b'{"text": "\xff"}', "bad_encoding", "the byte 0xff (invalid start byte), expected utf-8"),
        (b'{"text": "\\ud83d"}', "bad_encoding", "half of a surrogate pair"),
        (b'{"text": "a\\u0000"}', "bad_encoding", "a NUL at character 1"),
    ],
)
def test_a_bad_line_costs_itself_only(
    tmp_path: Path, line: bytes, reason: str, finding: str
) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    items = items_of(tmp_path / "x.jsonl")
    assert texts_in(items) == ["a", "b"]
    assert places_in(items) == ["line 1", "line 3"]
    (flaw,) = flaws_in(items)
    assert flaw.reason == reason
    assert finding in flaw.finding
    assert flaw.place.startswith("line 2")


@pytest.mark.parametrize(
    "line",
    [
        b'{"x": "\xff", "text": "a"}',
        b'{"x": "\\ud83d", "text": "a"}',
        b'{"text": 1, "text": "a"}',
        b'{"te\\u0078t": "a"}',
        b'{"x": NaN, "text": "a"}',
        b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
        b'\t {"text" : "a" }\r',
    ],
)
def test_what_does_not_touch_the_text_does_no_harm(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(line + b"\n")
    assert texts_of(tmp_path / "x.jsonl") == ["a"]


def test_lines_in_other_encodings_are_decoded_one_by_one(tmp_path: Path) -> None:
    chinese = '{"text": "他们是在这里的人，不是别人。"}\n'
    path = tmp_path / "x.jsonl"
    # So much sound UTF-8 that the file as a whole is that.
    path.write_bytes((chinese * 9).encode() + chinese.encode("gb18030") + chinese.encode())
    assert texts_of(path) == ["他们是在这里的人，不是别人。"] * 11
    assert counts_of(path) == {"text": 11, "decoded.gb18030": 1}


def test_repairs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a\xff\xfeb"}\n{"text": "a\\u0000b"}\n{"text": "\\ud83d"}\n')
    items = items_of(path, on_bad_text="repair")
    assert texts_in(items) == ["a\ufffd\ufffdb", "ab", "\ufffd"]
    assert counts_of(path, on_bad_text="repair") == {
        "text": 3,
        "replaced_bytes": 3,
        "nul_removed": 1,
    }
    assert counts_of(path) == {"bad_encoding": 3}


# Files of one JSON text


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ('{"text": "a"}', {"text": 1}),
        ('[{"text": "a"}, {"text": "b"}]', {"text": 2}),
        (" [ ] ", {}),
        ("", {}),
        ('{"text": "a"} {"text": "b"}', {"text": 2}),
        ('{"data": [{"text": "a"}]}', {"no_text": 1}),
        ('[{"text": "a"}, 1, "b", {"text": null}]', {"text": 1, "bad_json": 2, "no_text": 1}),
        ('[{"text": "a"}, {"text": "b"', {"text": 1, "bad_json": 1}),
        ('[{"text": "a"}', {"text": 1, "bad_json": 1}),
        ('[{"text": "a"} {"text": "b"},]', {"text": 2}),
        ('[{"text": "a"}] [{"text": "b"}]', {"text": 2}),
        ('[{"text": "a"}] x', {"text": 1, "bad_json": 1}),
        ('[{"text": "a"}, {"text" "b"}, {"text": "c"}]', {"text": 2, "bad_json": 1}),
        ('[{"text": "a\\x}"}, {"text": "b\nc"}, {"text": "c"}]', {"text": 1, "bad_json": 2}),
        ('[{"text": "a"}, {"text": "b]}, {"text": "c"}]', {"text": 1, "bad_json": 1}),
    ],
)
def test_json_files_hold_one_object_or_many(
    tmp_path: Path, text: str, counts: dict[str, int]
) -> None:
    (tmp_path / "x.json").write_text(text)
    assert counts_of(tmp_path / "x.json") == counts


def test_json_does_not_depend_on_where_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [{"n": [n, {"x": 1.5e3}], "text": f"三\n\U0001f600 {n}"} for n in range(30)]
    (tmp_path / "x.json").write_text(json.dumps(values, indent=2))
    for chunk in (1, 2, 3, 50):
        monkeypatch.setattr("corpusmill.tasks.ingestion.streams.CHUNK", chunk)
        assert texts_of(tmp_path / "x.json") == [value["text"] for value in values]


def test_a_mark_between_files_that_were_put_together_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(
        b'\xef\xbb\xbf{"text": "one"}\n\xef\xbb\xbf{"text": "two"}\n'
    )
    assert texts_of(tmp_path / "x.jsonl") == ["one", "two"]
