"""Gopher's and FineWeb's rules: compiled and plain they agree, and each drops what it is for."""

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.flows.recipes.decoders import gpt_web
from corpusmill.tasks.ingestion.batches import DocumentBatch, make_batch
from corpusmill.tasks.ingestion.cleaning import rules as rules_module
from corpusmill.tasks.ingestion.cleaning.reference import Document, part, segment
from corpusmill.tasks.ingestion.cleaning.rules import QualityFilter
from corpusmill.tasks.ingestion.cleaning.steps import cleaning_steps
from corpusmill.tasks.ingestion.cleaning.thresholds import KEPT, REASONS
from corpusmill.tasks.ingestion.stats import Stats
from tests.benchmarks.cleaning import Segmented, broken, wikipedia

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom that we have, "
    "and we had everything before us with a spring of hope to go on. "
)
SENTENCES = (
    "The house stands on a hill above the sea and looks to the west.\n"
    "Nobody has lived in it since the old captain went away with his ship.\n"
    "Some say that lights are to be seen there in the longest nights of winter.\n"
    "Others have heard a piano, out of tune, that plays a waltz for nobody.\n"
    "We went up one morning to see for ourselves what there was to find.\n"
)
CHINESE = (
    "人们常说，读书是一件快乐的事情，可是在忙碌的日子里，真正坐下来读完一本书的人并不多。\n"
    "我的祖父住在江边的小镇上，他每天清晨都会沿着河堤散步，然后回到院子里给花浇水。\n"
    "后来城市修了新的桥，渡船渐渐停了，只有几位老人还记得从前摇橹的声音和岸边的灯火。\n"
)
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the folder shared/data is not beside the checkout"
)
ALL = QualityFilter(quality=True, repetition=True, fineweb=True)
Judge = Callable[[str, QualityFilter], str]


def _block(*texts: str) -> DocumentBatch:
    return make_batch("source", "file", texts, "line", range(len(texts)))


def _compiled(text: str, rules: QualityFilter) -> str:
    return REASONS[rules.judge(_block(text))[0]]


def _plain(text: str, rules: QualityFilter) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules_module, "compiled", lambda: False)
        return _compiled(text, rules)


@pytest.fixture(params=[_compiled, _plain], ids=["compiled", "plain"])
def judge(request: pytest.FixtureRequest) -> Judge:
    chosen: Judge = request.param
    return chosen


def test_prose_is_kept(judge: Judge) -> None:
    assert judge(SENTENCES, ALL) == "kept"


def test_chinese_prose_is_kept(judge: Judge) -> None:
    assert judge(CHINESE, ALL) == "kept"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Too few words to learn from.", "gopher.word_count"),
        ("天气很好，我们去公园吧。", "gopher.word_count"),
        ("a b c d e f g h i j " * 10, "gopher.word_length"),
        (SENTENCES + "# " * 20, "gopher.hash_ratio"),
        (SENTENCES + "... and " * 20, "gopher.ellipsis_ratio"),
        ("- " + SENTENCES[:-1].replace("\n", "\n- "), "gopher.bullet_lines"),
        ("●" + CHINESE[:-1].replace("\n", "\n●"), "gopher.bullet_lines"),
        (SENTENCES.replace(".\n", "...\n"), "gopher.ellipsis_lines"),
        (SENTENCES + "2020 " * 40, "gopher.alphabetic_words"),
        ("Lorem ipsum dolor sit amet consectetur " * 10, "gopher.stop_words"),
    ],
)
def test_gopher_quality_names_the_rule(judge: Judge, text: str, reason: str) -> None:
    assert judge(text, QualityFilter(quality=True)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{PROSE}\n\n" * 3, "gopher.duplicate_paragraph_fraction"),
        (f"{PROSE}\n\n{PROSE}\n\nOne.\n\nTwo.", "gopher.duplicate_paragraph_characters"),
        (SENTENCES + "Menu\nMenu\nMenu\nMenu\n", "gopher.duplicate_line_fraction"),
        (SENTENCES + SENTENCES[:134], "gopher.duplicate_line_characters"),
        (SENTENCES + "".join(f"buy now {i} " for i in range(20)), "gopher.top_2_gram"),
        (SENTENCES + SENTENCES[:140].replace("\n", " "), "gopher.duplicate_5_gram"),
    ],
)
def test_gopher_repetition_names_the_rule(judge: Judge, text: str, reason: str) -> None:
    assert judge(text, QualityFilter(repetition=True)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SENTENCES.replace(".\n", "\n"), "fineweb.line_end_ratio"),
        ("Short one.\n" + "\n".join(f"Line {i}." for i in range(9)), "fineweb.short_line_ratio"),
        (SENTENCES + SENTENCES[:63], "fineweb.duplicate_line_characters"),
        (SENTENCES + "\n" * 60, "fineweb.newline_ratio"),
    ],
)
def test_fineweb_names_the_rule(judge: Judge, text: str, reason: str) -> None:
    assert judge(text, QualityFilter(fineweb=True)) == reason


def test_a_sequence_that_occurs_once_is_no_repetition(judge: Judge) -> None:
    assert (
        judge("床前明月光，疑是地上霜。\n举头望明月，低头思故乡。", QualityFilter(repetition=True))
        == "kept"
    )


def test_chinese_that_repeats_itself_is_dropped(judge: Judge) -> None:
    assert judge(CHINESE + CHINESE.replace("\n", ""), QualityFilter(repetition=True)) != "kept"


def test_a_closing_quotation_mark_ends_a_line(judge: Judge) -> None:
    assert judge(SENTENCES.replace(".\n", '."\n'), QualityFilter(fineweb=True)) == "kept"


def test_chinese_may_have_as_many_lines_as_english(judge: Judge) -> None:
    lines = "".join(f"{CHINESE[i : i + 8].strip()}。\n" for i in range(0, 120, 8))
    assert judge(lines, QualityFilter(fineweb=True)) == "kept"


def test_two_words_of_chinese_are_said_in_simplified_characters(judge: Judge) -> None:
    text = "于山与水，" + "雨打窗前芭蕉叶落，" * 20
    assert judge(text, QualityFilter(quality=True)) == "kept"


def test_stop_words_are_not_asked_of_other_languages() -> None:
    german = _block(
        "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du kaum einen Hauch. " * 5
    )
    known = replace(german, languages=pa.array(["de"], pa.string()))
    assert REASONS[QualityFilter(quality=True).judge(german)[0]] == "gopher.stop_words"
    assert REASONS[QualityFilter(quality=True).judge(known)[0]] == "kept"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Don't stop: 3.14, e.g. here!",
            ["Don't", "stop", ":", "3.14", ",", "e.g", ".", "here", "!"],
        ),
        ("wait... -- **", ["wait", "...", "--", "*", "*"]),
        ("我们用Python写", ["我", "们", "用", "Python", "写"]),
        ("naïve café_1 １２", ["naïve", "café_1", "１２"]),
        (" \n\t", []),
    ],
)
def test_words_and_marks(text: str, words: list[str]) -> None:
    assert segment(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop: 3.14, e.g. here! --", ["Don't", "stop:", "3.14,", "e.g.", "here!", "--"]),
        ("我们用Python写，对。", ["我", "们", "用", "Python", "写，", "对。"]),
        ("（“你好”）", ["（“你", "好”）"]),
        ("かな สวย 한국어", ["か", "な", "ส", "ว", "ย", "한국어"]),
        (" \n\t", []),
    ],
)
def test_words_of_each_language(text: str, words: list[str]) -> None:
    assert part(text) == words


_LATIN = [
    "the",
    "of ",
    " with ",
    " and",
    " ",
    "don't",
    "3.14",
    ".",
    "naïve",
    "x_1",
    "buy now ",
    "#",
]
_OTHERS = ["...", "…", "- ", "•", "。", "我们的", "年", "是", "カタカナ", "สวัสดี", "😀", "\u2028"]
_LINES = [PROSE, "same line here.\n", "\n", "\n\n", "”\n"]
_TEXTS = st.lists(st.sampled_from(_LATIN + _OTHERS + _LINES), max_size=120).map("".join)


@settings(max_examples=150)
@given(_TEXTS, st.booleans(), st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]))
def test_compiled_and_plain_agree(text: str, marks: bool, which: tuple[int, ...]) -> None:
    rules = QualityFilter(bool(which[0]), bool(which[1]), bool(which[2]), marks)
    assert _compiled(text, rules) == _plain(text, rules)


@settings(max_examples=60)
@example("\U0003134b]", False)  # a Han character of a later Unicode than this Python's
@given(st.text(max_size=60), st.booleans())
def test_compiled_and_plain_agree_on_any_text(text: str, marks: bool) -> None:
    rules = QualityFilter(repetition=True, fineweb=True, marks=marks)
    assert _compiled(text, rules) == _plain(text, rules)


def _real_texts() -> list[str]:
    texts = []
    for name in ("sotu/sotu", "lm_en_eips_md/eips", "docs_zh_vue/docs", "chinese_poetry/poems"):
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            some = [
                json.loads(line)["text"][:6000] for line, _ in zip(file, range(2000), strict=False)
            ]
        texts += random.Random(7).sample(some, 60)
    return texts


@needs_data
@pytest.mark.parametrize("which", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_compiled_and_plain_agree_on_real_text(which: tuple[int, ...]) -> None:
    rules = QualityFilter(bool(which[0]), bool(which[1]), bool(which[2]))
    texts = _real_texts()
    plain = [_plain(text, rules) for text in texts]
    assert [REASONS[reason] for reason in rules.judge(_block(*texts))] == plain
    assert 0 < plain.count("kept") < len(plain)


TECHNICAL = (
    "## Setup\n\nThe `config` file holds the `name` of the server -- see `--help` -- and a port.\n"
    "Run `make install` first; then call `server.start(port=80)` to have it listen to the port.\n"
    "| option | what it is |\n|---|---|\n| `--port` | the port to listen to, 8080 if not given |\n"
    "It is an error to start it twice, and `server.stop()` ends it with what it has to do done.\n"
    "To log more, set `LOG=debug` in the shell; to log less, set `LOG=error` and start it again.\n"
    "Some files that it reads are big, and with `--cache` they are kept and not read again.\n"
)
MORE_CHINESE = (
    "那一年冬天特别冷，河面结了冰，孩子们穿着厚厚的棉衣在上面滑来滑去，笑声传得很远。\n"
    "祖父把旧书一本本搬到窗前，说字要趁着光亮读，心也要趁着安静的时候才能听得见。\n"
)


@pytest.mark.parametrize("text", [CHINESE + MORE_CHINESE, TECHNICAL], ids=["zh", "en"])
def test_the_recipe_for_the_web_keeps_prose_and_technical_text(text: str) -> None:
    batch = _block(*(f"{text}{number}" for number in range(20)))
    for step in cleaning_steps(gpt_web().corpus.cleaning, 1):
        batch = step(batch, Stats())
    assert len(batch) == 20


@needs_data
def test_translations_are_kept_alike() -> None:
    kept = [
        np.mean(ALL.judge(_block(*wikipedia(DATA, language))) == KEPT) for language in ("zh", "en")
    ]
    assert kept[0] > 0.9 and kept[0] == pytest.approx(kept[1], abs=0.03)


@needs_data
def test_characters_are_judged_as_the_words_of_a_segmenter() -> None:
    texts = wikipedia(DATA, "zh")
    ours = [not broken(Document(text, False, True)) for text in texts]
    theirs = [not broken(Segmented(text, False, True), by_words=True) for text in texts]
    assert np.mean(np.equal(ours, theirs)) >= 0.97


def test_every_dropped_document_is_counted_once() -> None:
    stats = Stats()
    kept = ALL(_block(SENTENCES, "short", CHINESE, SENTENCES + SENTENCES), stats)
    assert kept.texts.to_pylist() == [SENTENCES, CHINESE]
    assert kept.numbers.tolist() == [0, 2]
    assert stats.dropped_by_reason() == {
        "gopher.duplicate_line_fraction": 1,
        "gopher.word_count": 1,
    }
    assert [sample.place for sample in stats.all_samples()] == ["line 3", "line 1"]


def test_a_slice_of_texts_is_judged_as_itself() -> None:
    texts = _block("short", SENTENCES, CHINESE).texts[1:]
    assert ALL.judge(make_batch("source", "file", texts, "line", [1, 2])).tolist() == [0, 0]


def test_no_documents_are_judged() -> None:
    assert len(ALL(_block(), Stats())) == 0


def test_the_share_of_characters_that_stand_alone_decides_the_limits() -> None:
    assert Document("用 Python 写 program 的人", False, True).unspaced
    assert not Document("One 字 in a long line of English words", False, True).unspaced
