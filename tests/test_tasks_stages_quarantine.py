"""Quarantine: what looks unlike all that was met, and what it is found by."""

import base64
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import SCHEMA, Document, document_id
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.stages.night_config import QuarantineConfig
from corpusmill.tasks.stages.quarantine import (
    Looked,
    Reading,
    find_unlike,
    known_languages,
    look_at,
    reading_of,
    shuffled,
    suspects,
)
from tests.corpora import speeches

SPEECHES = speeches(6)
CONFIG = QuarantineConfig()
ENGLISH = frozenset({"en"})
Row = tuple[str, str, str]


def _corpus(root: Path, rows: Sequence[Row]) -> Ref:
    """A night's corpus of (file, language, text), every second one held out."""

    def write(folder: Path) -> None:
        for number, split in enumerate(SPLITS):
            with SplitWriter(folder, split, "zstd") as writer:
                for file, language, text in rows[number::2]:
                    row = {"id": _id(text), "source": "web", "file": file}
                    row |= {"language": language, "text": text}
                    writer.add(pa.RecordBatch.from_pylist([row], schema=SCHEMA))

    spec = Spec("corpus", 1, {}, {"rows": [list(row) for row in rows]})
    return obtain(Layout(root), spec, write)[0]


def _looked(root: Path, rows: Sequence[Row], languages: Collection[str] = ENGLISH) -> list[Looked]:
    return look_at(_corpus(root, rows), languages)


def _id(text: str) -> str:
    return document_id(text.encode())


def _found(
    root: Path,
    rows: Sequence[Row],
    losses: Mapping[str, float] | None = None,
    released: Sequence[str] = (),
) -> tuple[dict[str, str], float]:
    """Why the documents of each file are set aside, and their share."""
    reading = Reading(1.0, {_id(text): loss for text, loss in losses.items()}) if losses else None
    aside, share = find_unlike(_looked(root, rows), reading, CONFIG, released)
    for each in aside:
        mine = {_id(text) for file, _, text in rows if file == each.file}
        assert each.source == "web" and set(each.ids) <= mine and 0 < len(each.excerpt) <= 200
    return {each.file: each.why for each in aside}, share


PLAIN: list[Row] = [(f"plain-{n}.txt", "en", text[:5000]) for n, text in enumerate(SPEECHES)]


def _noise(seed: int) -> str:
    drawn = random.Random(seed)
    return "".join(chr(drawn.randrange(33, 127)) for _ in range(5000))


def test_nothing_of_plain_text_is_unlike(tmp_path: Path) -> None:
    assert _found(tmp_path, PLAIN) == ({}, 0.0)


def test_another_language_is_unlike_and_its_share_is_of_bytes(tmp_path: Path) -> None:
    rows = [*PLAIN, ("雪.txt", "zh", "山上有雪。" * 2 + "".join(map(chr, range(0x4E00, 0x5000))))]
    found, share = _found(tmp_path, rows)
    assert found == {"雪.txt": "its language, zh, is none of en"}
    sizes = [len(text.encode()) for _, _, text in rows]
    assert share == pytest.approx(sizes[-1] / sum(sizes))


def test_text_of_no_certain_language_is_not_foreign(tmp_path: Path) -> None:
    assert _found(tmp_path, [*PLAIN, ("short.txt", "und", "17 x 4 = 68")])[0] == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Click here to accept. " * 300, "it compresses to"),
        (_noise(1), "it compresses to"),
        (base64.b64encode(random.Random(1).randbytes(3000)).decode(), "it compresses to"),
        ("Click here to accept. " * 10, None),
        (_noise(2)[:300], None),
        ("结束了，我们明天再来看看这里的风景吧。大家都觉得山上的雪很美，水也很清。" * 3, None),
    ],
)
def test_what_is_repeated_over_and_over_and_noise_are_unlike_unless_too_short_to_tell(
    tmp_path: Path, text: str, why: str | None
) -> None:
    found, _ = _found(tmp_path, [*PLAIN, ("odd.txt", "en", text)])
    assert found.get("odd.txt", "").startswith(why or "") and bool(found) == bool(why)


def test_what_the_champion_reads_badly_is_unlike_and_what_it_has_not_read_is_as_its_file(
    tmp_path: Path,
) -> None:
    bad: list[Row] = [("bad.txt", "en", f"{n} {SPEECHES[n][5000:8000]}") for n in range(6)]
    losses = {text: 1.1 for _, _, text in PLAIN[:3]}
    # Three of six were read, and the most of them badly.
    losses |= {bad[0][2]: 2.5, bad[1][2]: 2.5, bad[2][2]: 1.0}
    documents = _looked(tmp_path, [*PLAIN, *bad])
    reading = Reading(1.0, {_id(text): loss for text, loss in losses.items()})
    aside, _ = find_unlike(documents, reading, CONFIG, ())
    (found,) = aside
    assert found.file == "bad.txt" and "1.8 times as much" in found.why
    assert set(found.ids) == {_id(text) for n, (_, _, text) in enumerate(bad) if n != 2}


def test_a_file_that_was_not_read_is_as_the_most_of_its_language(tmp_path: Path) -> None:
    bad: list[Row] = [(f"bad-{n}.txt", "xx", SPEECHES[n][5000:8000]) for n in range(6)]
    losses = {text: 1.1 for _, _, text in PLAIN[:3]} | {bad[n][2]: 3.0 for n in range(3)}
    reading = Reading(1.0, {_id(text): loss for text, loss in losses.items()})
    aside, _ = find_unlike(_looked(tmp_path, [*PLAIN, *bad], ()), reading, CONFIG, ())
    assert {each.file for each in aside} == {file for file, _, _ in bad}


def test_good_text_among_bad_does_not_wait_for_it_was_read_before(tmp_path: Path) -> None:
    bad: list[Row] = [(f"bad-{n}.txt", "en", f"{n} {SPEECHES[n][5000:8000]}") for n in range(6)]
    losses = {_id(text): 1.1 for _, _, text in PLAIN} | {_id(text): 3.0 for _, _, text in bad}
    asked: list[int] = []

    def read(size: int) -> Reading:
        asked.append(size)
        glance = {_id(bad[n][2]): 3.0 for n in range(3)}
        return Reading(1.0, losses if len(asked) > 1 else glance)

    aside, share = suspects(_looked(tmp_path, [*PLAIN[:2], *bad]), read, CONFIG, ())
    assert {each.file for each in aside} == {file for file, _, _ in bad}
    assert share < 1
    assert asked == [CONFIG.sample_bytes, 10 * CONFIG.sample_bytes]


def test_poison_that_is_less_than_half_of_many_files_does_not_slip_unread(tmp_path: Path) -> None:
    rows = [(f"{n}.txt", "en", f"{n} {SPEECHES[n % 6][:900]}") for n in range(200)]
    # Two of five are bad, and of every ten files one is read.
    losses = {_id(rows[n][2]): 3.0 if n % 5 < 2 else 1.1 for n in range(20)}
    documents = _looked(tmp_path, rows)
    aside, share = suspects(documents, lambda _: Reading(1.0, losses), CONFIG, ())
    assert share == pytest.approx(0.4, abs=0.02)
    good = {rows[n][0] for n in range(20) if n % 5 >= 2}
    assert {each.file for each in aside} == {file for file, _, _ in rows} - good


def test_what_is_seen_without_reading_says_nothing_of_its_neighbours(tmp_path: Path) -> None:
    rows: list[Row] = [("a.txt", "en", _noise(n)) for n in range(3)]
    rows += [("a.txt", "en", text[:5000]) for text in SPEECHES]
    losses = {_id(text): 3.0 for _, _, text in rows[:3]} | {_id(rows[3][2]): 1.1}
    (found,), _ = find_unlike(_looked(tmp_path, rows), Reading(1.0, losses), CONFIG, ())
    assert set(found.ids) == {_id(text) for _, _, text in rows[:3]}


def test_a_long_text_of_one_template_is_told_behind_a_good_beginning(tmp_path: Path) -> None:
    text = SPEECHES[0][:5000] + "Click here to accept. " * 2000
    assert "it compresses to" in _found(tmp_path, [*PLAIN, ("a.txt", "en", text)])[0]["a.txt"]


def test_while_little_is_unlike_none_waits_and_no_more_is_read(tmp_path: Path) -> None:
    asked: list[int] = []

    def read(size: int) -> Reading:
        asked.append(size)
        return Reading(1.0, {_id(text): 1.1 for _, _, text in PLAIN})

    odd: Row = ("odd.txt", "zh", "一二三")
    assert suspects(_looked(tmp_path, [*PLAIN, odd]), read, CONFIG, ())[0] == []
    assert asked == [CONFIG.sample_bytes]


def test_without_languages_that_are_known_none_is_foreign(tmp_path: Path) -> None:
    rows: list[Row] = [("a.txt", "zh", "一二三"), ("b.txt", "en", "one")]
    assert find_unlike(_looked(tmp_path, rows, ()), None, CONFIG, ()) == ([], 0.0)


def test_what_a_person_has_let_in_passes(tmp_path: Path) -> None:
    rows = [*PLAIN, ("a.txt", "en", _noise(1)), ("a.txt", "en", _noise(2))]
    _, both = _found(tmp_path, rows)
    aside, one = find_unlike(_looked(tmp_path, rows), None, CONFIG, {_id(_noise(1))})
    assert [each.ids for each in aside] == [(_id(_noise(2)),)] and one < both
    released = [_id(_noise(1)), _id(_noise(2))]
    assert _found(tmp_path, rows, released=released) == ({}, 0.0)


def _blocks(rows: Sequence[tuple[str, int, float]], width: int = 1) -> Blocks:
    names = [name for name, _, _ in rows]
    return Blocks(
        documents=names,
        sources=["web"] * len(rows),
        numbers=np.zeros(len(rows), np.int32),
        bytes=np.array([size for _, size, _ in rows]),
        predictions=np.array([size // 4 for _, size, _ in rows]),
        statistics=np.array([[value] * width for _, _, value in rows]),
    )


def test_a_reading_is_the_loss_of_each_new_document_and_of_all_old_ones_together() -> None:
    blocks = _blocks(
        [("old", 100, 100.0), ("old2", 300, 700.0), ("new", 10, 30.0), ("new", 10, 10)]
    )
    assert reading_of(blocks, {"old", "old2"}) == Reading(2.0, {"new": 2.0})
    # A byte, or a prediction.
    assert reading_of(_blocks([("old", 100, 50.0)], width=2), {"old"}) == Reading(2.0, {})


def test_a_reading_tells_what_the_order_of_words_is_worth() -> None:
    blocks = _blocks(
        [
            *(("old", 100, 100.0), ("old~", 100, 200.0)),
            *(("real", 100, 90.0), ("real~", 100, 150.0)),
            *(("noise", 100, 150.0), ("noise~", 100, 150.0)),
        ]
    )
    reading = reading_of(blocks, {"old", "old~"})
    assert reading and (reading.old, reading.old_order) == (1.0, 0.5)
    assert reading.order_by_document == {"real": pytest.approx(0.4), "noise": 0.0}
    assert reading.by_document == {"real": 0.9, "noise": 1.5}


def test_words_at_random_are_told_by_a_champion_that_knows_their_order(tmp_path: Path) -> None:
    rows = [(f"{n}.txt", "en", text) for n, text in enumerate(SPEECHES[:4])]
    documents = _looked(tmp_path, rows)
    order = {_id(text): 0.0 if n == 2 else 0.3 for n, text in enumerate(SPEECHES[:4])}
    for knows, found in ((0.4, {"2.txt"}), (0.01, set())):
        reading = Reading(1.0, dict.fromkeys(order, 1.2), knows, order)
        aside, _ = find_unlike(documents, reading, CONFIG, ())
        assert {each.file for each in aside} == found


def test_shuffled_words_are_the_same_words_in_another_order() -> None:
    text = " ".join(f"word{n}" for n in range(50))
    document = Document("0" * 32, "web", "a.txt", "en", text)
    other = shuffled(document)
    assert other.text != text and sorted(other.text.split()) == sorted(text.split())
    assert (other.id, shuffled(document)) == ("0" * 32 + "~", other)
    han = replace(document, text="春眠不觉晓处处闻啼鸟夜来风雨声花落知多少" * 3)
    assert sorted(shuffled(han).text) == sorted(han.text) and shuffled(han).text != han.text


def test_what_has_no_loss_or_nothing_old_is_no_reading() -> None:
    assert reading_of(_blocks([("old", 100, 50.0)], width=3), {"old"}) is None
    assert reading_of(_blocks([("new", 100, 50.0)]), {"old"}) is None


def test_languages_of_a_small_share_are_not_known(tmp_path: Path) -> None:
    def shards(languages: Mapping[str, int]) -> Ref:
        counts = {"train": {"languages": {n: {"tokens": t} for n, t in languages.items()}}}
        spec = Spec("shards", 1, {}, {"languages": dict(languages)})
        return obtain(Layout(tmp_path), spec, lambda _: counts)[0]

    line = [shards({"en": 900, "fr": 2}), shards({"en": 50, "zh": 48})]
    assert known_languages(line, 0.005) == {"en", "zh"}
    assert known_languages(line, 0.001) == {"en", "zh", "fr"}
