"""The corpus report: right sums, hostile excerpts, and what is absent is said or left out."""

import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from corpusmill.storage.artifacts import Ref, Spec, publish
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST
from corpusmill.storage.settings import load_settings
from corpusmill.storage.tracking import open_run
from corpusmill.tasks.ingestion.building import write_samples
from corpusmill.tasks.ingestion.figures import Figures, SimilarPair
from corpusmill.tasks.ingestion.sources import ResolvedSource
from corpusmill.tasks.ingestion.stats import Sample, Stats
from corpusmill.tasks.reports.corpus.findings import gather, read_samples
from corpusmill.tasks.reports.corpus.page import render
from corpusmill.tasks.reports.corpus.report import report_corpus, summarise
from corpusmill.tasks.reports.corpus.words import compared, plain, share, short, size, visible
from corpusmill.tasks.tracking import FlowContext
from tests.pages import Page


def write_corpus(
    path: Path,
    read: int = 1000,
    dropped: Mapping[str, tuple[int, int]] | None = None,
    languages: int = 1,
    *,
    samples: tuple[Sample, ...] = (),
    pairs: tuple[SimilarPair, ...] = (),
    edited_away: int = 0,
    told: Mapping[str, int] | None = None,
    why: str = "gopher.word_count",
) -> Path:
    """A corpus of one source, `web`, whose documents have 100 bytes each."""
    dropped = dropped or {}
    stats = Stats(edits=Counter({"nfc": 7} if edited_away else {}), lengths=Counter({6: read}))
    stats.read.update({("web", "documents"): read, ("web", "bytes"): 100 * read})
    for reason, (documents, count) in dropped.items():
        stats.dropped["web", reason, "documents"] = documents
        stats.dropped["web", reason, "bytes"] = count
    for language, documents in (told or {}).items():
        stats.told[language] = stats.losses[language, why] = documents
    for sample in samples:
        stats.samples.setdefault(sample.reason, []).append(sample)
    kept = read - sum(documents for documents, _ in dropped.values())
    kept_bytes = 100 * read - sum(count for _, count in dropped.values()) - edited_away
    sides = {"documents": kept, "bytes": kept_bytes}
    sources = [ResolvedSource("web", "CC0-1.0", ())]
    figures = Figures(sources, lengths=Counter({6: kept} if kept else {}), pairs=pairs)
    stats.flaws = {"bad_encoding"}
    figures.kept.update({("web", what): count for what, count in sides.items()})
    for n in range(languages if kept else 0):
        figures.languages.update({(f"q{n}", "documents"): 1, (f"q{n}", "bytes"): 900 - n})

    def write(directory: Path) -> dict[str, Any]:
        figures.write(directory, stats)
        write_samples(directory, stats)
        held_out = {what: count // 10 for what, count in sides.items()}
        return {
            "documents": {"in": read, "kept": kept, "dropped": stats.dropped_by_reason()},
            "train": {what: count - held_out[what] for what, count in sides.items()},
            "validation": held_out,
            "licences": {"web": "CC0-1.0"},
        }

    publish(path, Spec("corpus", 2, config={"text_field": "text"}), write)
    return path


def write_selection(path: Path, kept: int) -> Path:
    """The new documents of another corpus: without figures."""

    def write(directory: Path) -> dict[str, Any]:
        write_samples(directory, Stats())
        return {
            "documents": {"in": 243, "kept": kept, "dropped": {"seen": 243 - kept}},
            "train": {"documents": kept, "bytes": 100 * kept},
            "validation": {"documents": 0, "bytes": 0},
            "licences": {"speeches": None},
        }

    inputs = {"documents": "c0ffee" * 5, "seen": "5eed" * 8}
    publish(path, Spec("corpus", 2, inputs), write)
    return path


def write_counts(path: Path, counts: Mapping[str, Any]) -> Path:
    publish(path, Spec(path.name, 1), lambda _: counts)
    return path


def rendered(corpus: Path, tokenizer: Path | None, shards: Path | None) -> str:
    return render(gather(corpus, tokenizer, shards))


def sample(excerpt: str, detail: str = "") -> Sample:
    return Sample("gopher.word_count", "web", "a<b>.warc.gz", "record 3", excerpt, detail)


TOKENIZER = {
    "engine": "rustbpe",
    "vocab_size": 65536,
    "sample_bytes": {"web/en": 3_000_000, "web/zh": 1_000_000},
    "bytes_per_token": {"en": 4.6123, "zh": 3.9},
}
SHARDS = {
    "train": {
        "documents": 810,
        "tokens": 20_000,
        "bytes": 81_000,
        "languages": {"en": {"documents": 810, "tokens": 20_000, "bytes": 81_000}},
        "sources": {"web": {"documents": 810, "tokens": 20_000, "bytes": 81_000}},
    },
    "validation": {"documents": 90, "tokens": 2_000, "bytes": 9_000},
}
MANY = {"gopher.word_count": (60, 3000), "duplicate": (30, 2500), "bad_encoding": (10, 0)}


def test_the_funnel_ends_at_what_was_kept(tmp_path: Path) -> None:
    findings = gather(write_corpus(tmp_path / "c", dropped=MANY, edited_away=500), None, None)
    left = [(step.left.documents, step.left.bytes) for step in findings.steps]
    assert left == [(990, 100_000), (930, 96_500), (900, 94_000), (900, 94_000)]
    assert left[-1] == (findings.kept.documents, findings.kept.bytes)
    assert findings.edited_away == 500


def test_the_page_names_what_was_not_read(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", read=0)
    unread = {"file": "a<b>.gz", "source": "web", "documents": 1, "bytes": 0, "doubtful": 9}
    manifest = json.loads((corpus / MANIFEST).read_text())
    manifest["counts"]["unread"] = {"files": [unread | {"detail": "line 1: cut off"}]}
    (corpus / MANIFEST).write_text(json.dumps(manifest))
    text = Page(rendered(corpus, None, None)).text
    assert (
        "a<b>.gz of web: 1 document, 0 bytes, and more, for its end is missing, not read;" in text
    )
    assert "web gave nothing: all its files are read by sources before it" in text
    summary = summarise(gather(corpus, None, None), "link")
    assert "a&lt;b&gt;.gz" in summary and "line 1: cut off" in summary


def test_the_page_shows_the_sums(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", dropped=MANY)
    tokenizer = write_counts(tmp_path / "tokenizer", TOKENIZER)
    shards = write_counts(tmp_path / "shards", SHARDS)
    text = Page(rendered(corpus, tokenizer, shards)).text
    for expected in (
        "900 of 1,000 documents kept",
        "Documents in 1,000 100 kB Kept 900 90.0 % Dropped 100 10.0 % Bytes kept 94.5 kB 94.5 %",
        "Held out 90 9.45 kB Training tokens 20,000 4.05 bytes each",
        "Gopher: word count 60 6.0 %",
        "30 exact and 0 near-duplicates were dropped: 3.0 %",
        "A vocabulary of 65,536 tokens, trained by rustbpe. Learned from 4.00 MB of text.",
        "English 4.61 20,000 tokens",
        "Chinese 3.90",
    ):
        assert expected in text


def test_a_language_of_which_nothing_is_left_is_a_warning(tmp_path: Path) -> None:
    lost = {"gopher.word_count": (12, 1200)}
    corpus = write_corpus(tmp_path / "corpus", dropped=lost, told={"zh": 12})
    said = "12 documents, dropped most often for Gopher: word count"
    assert f"Nothing in Chinese was kept: {said}." in Page(rendered(corpus, None, None)).text
    summary = summarise(gather(corpus, None, None), "address")
    assert f"**Warning: nothing in Chinese was kept** ({said})." in summary


def test_a_language_that_was_met_or_set_aside_is_no_warning(tmp_path: Path) -> None:
    lost = {"set_aside": (12, 1200)}
    corpus = write_corpus(tmp_path / "corpus", dropped=lost, told={"zh": 12}, why="set_aside")
    assert "Nothing in Chinese" not in Page(rendered(corpus, None, None)).text


def test_reasons_come_the_most_frequent_first(tmp_path: Path) -> None:
    findings = gather(write_corpus(tmp_path / "c", dropped=MANY), None, None)
    assert [reason.name for reason in findings.reasons] == list(MANY)
    assert findings.reasons[0].sources == [("web", 60)]


@pytest.mark.parametrize(
    "excerpt",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</span></li></details></style>",
        "{{ 7 * 7 }}{% raw %}&lt;",
        "\u202egnitirw si siht\u2066",
        "\x00\x1b[31m\x07\x9b\ufeff",
        "W" * 200,
        "中文：今天下午，市政府召开新闻发布会",
    ],
)
def test_a_hostile_excerpt_changes_nothing_of_the_page(tmp_path: Path, excerpt: str) -> None:
    pages = []
    for name, text in (("plain", "x"), ("hostile", excerpt)):
        samples, pairs = (sample(text, detail=text),), (SimilarPair(0.9, text, text),)
        dropped = {"gopher.word_count": (4, 90)}
        corpus = write_corpus(tmp_path / name, 9, dropped, samples=samples, pairs=pairs)
        pages.append(rendered(corpus, None, None))
    ours, hostile = (Page(html).tags for html in pages)
    del ours["i"], hostile["i"]  # where a control character is seen
    assert hostile == ours
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", pages[1])


@settings(max_examples=50)
@given(st.text(st.characters(), max_size=60))
def test_any_text_can_be_written_and_opens_no_element(text: str) -> None:
    parser = Page(visible(text))
    assert parser.tags.keys() <= {"i"}
    visible(text).encode()


def test_a_sample_with_other_ends_of_lines_is_one_row(tmp_path: Path) -> None:
    odd = sample("one line\u2028another\u2029a third\x85\x0c\x1d\r")
    rows = read_samples(write_corpus(tmp_path / "c", samples=(odd,)))[odd.reason]
    assert [row["excerpt"] for row in rows] == [odd.excerpt]


def test_controls_and_turns_of_direction_are_seen() -> None:
    assert "U+202E" in visible("\u202eabc")
    assert "U+001B" in visible("\x1b[31m")
    assert "U+D800" in visible("\ud800")
    assert visible("می\u200cخواهم 中文 👩\u200d🚀") == "می\u200cخواهم 中文 👩\u200d🚀"


def test_what_differs_between_similar_texts_is_marked() -> None:
    first, second = compared("on Tuesday <b>", "on Friday <b>")
    assert first == "on <mark>Tuesday</mark> &lt;b&gt;"
    assert second == "on <mark>Friday</mark> &lt;b&gt;"
    assert compared("三号线", "四号线")[0] == "<mark>三</mark>号线"


def test_the_file_asks_for_nothing_else(tmp_path: Path) -> None:
    html = rendered(write_corpus(tmp_path / "c", dropped=MANY), None, None)
    page = Page(html)
    assert page.addresses == []
    assert not page.tags.keys() & {"script", "link", "iframe", "object"}
    assert "url(" not in html and "@import" not in html and "://" not in html


def test_a_corpus_without_losses_says_so(tmp_path: Path) -> None:
    text = Page(rendered(write_corpus(tmp_path / "c", read=243), None, None)).text
    assert "All 243 documents kept" in text
    assert "Nothing was lost to unreadable text, cleaning, exact duplicates or near-dupl" in text
    assert "Why documents were dropped" not in text


def test_a_missing_tokenizer_and_missing_shards_are_said(tmp_path: Path) -> None:
    text = Page(rendered(write_corpus(tmp_path / "c"), None, None)).text
    assert "What a token holds" not in text
    assert "Bytes a token: not measured." in text
    assert "Tokens: not counted." in text


def test_counts_that_an_older_stage_did_not_take_are_left_out(tmp_path: Path) -> None:
    tokenizer = write_counts(tmp_path / "tokenizer", {})
    shards = write_counts(tmp_path / "shards", {"train": {"tokens": 9, "bytes": 900}})
    text = Page(rendered(write_corpus(tmp_path / "c"), tokenizer, shards)).text
    assert "Training tokens 9 100.00 bytes each" in text
    assert "Bytes a token: not measured." in text


def test_the_documents_of_a_quiet_night(tmp_path: Path) -> None:
    shards = write_counts(tmp_path / "shards", {"train": {"tokens": 0, "bytes": 0}})
    text = Page(rendered(write_selection(tmp_path / "c", kept=0), None, shards)).text
    assert "None of 243 documents is new" in text
    assert "243 were met before and 0 are similar to such: 100 % of all documents read." in text
    assert "Bytes read, lengths, languages and edits are measured where documents are read" in text


def test_the_new_documents_of_a_night(tmp_path: Path) -> None:
    text = Page(rendered(write_selection(tmp_path / "c", kept=11), None, None)).text
    assert "11 of 243 documents are new" in text
    assert "speeches not stated" in text


def test_a_corpus_of_nothing(tmp_path: Path) -> None:
    text = Page(rendered(write_corpus(tmp_path / "c", read=0), None, None)).text
    assert "No documents came in" in text
    assert "From read to kept" not in text


def test_sixty_reasons_and_thirty_languages_are_all_there(tmp_path: Path) -> None:
    dropped = {f"rule.number_{n}": (n, n * 10) for n in range(1, 61)}
    corpus = write_corpus(tmp_path / "c", 10_000, dropped, languages=30)
    text = Page(rendered(corpus, None, None)).text
    assert "45 more reasons" in text and "20 more languages" in text
    assert all(f"Rule: number {n} " in text for n in range(1, 61))
    assert all(f" q{n} " in text for n in range(30))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (short(99_999), "99,999"),
        (short(999_600), "1.00 M"),
        (short(12_345_678), "12.3 M"),
        (size(1), "1 byte"),
        (size(999), "999 bytes"),
        (size(999_999), "1.00 MB"),
        (share(1, 100_000), "<0.1 %"),
        (share(99_999, 100_000), ">99.9 %"),
        (share(0, 7), "0 %"),
        (share(7, 7), "100 %"),
        (share(1, 0), "–"),
        (plain("fineweb.line_end_ratio"), "FineWeb: line end ratio"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written.replace("\u00a0", " ") == expected


def test_the_summary_holds_numbers_reasons_and_the_link(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", dropped=MANY | {"odd|<b>": (1, 5)})
    text = summarise(gather(corpus, None, None), "https://example.org/corpus.html")
    assert "| Gopher: word count | 60 | 6.0\u00a0% |" in text
    assert "| Odd\\|&lt;b&gt; | 1 |" in text
    assert "(https://example.org/corpus.html)" in text


def test_the_report_lies_in_mlflow_and_its_summary_in_prefect(
    tmp_path: Path, home: Path, prefect_server: str
) -> None:
    local_settings = replace(
        load_settings(), home=home, experiment=f"corpus-{uuid.uuid4().hex[:8]}"
    )
    tracker = open_run(local_settings, uuid.uuid4().hex, "name", {"flow": "pretrain"})
    context = FlowContext(local_settings, Layout(home), tracker)
    refs = [
        Ref("corpus", "c" * 32, write_corpus(tmp_path / "corpus", dropped=MANY)),
        Ref("tokenizer", "7" * 32, write_counts(tmp_path / "tokenizer", TOKENIZER)),
        Ref("shards", "5" * 32, write_counts(tmp_path / "shards", SHARDS)),
    ]

    @flow
    def reporting() -> None:
        report_corpus(context, *refs)

    reporting()
    local = tracker.client.download_artifacts(tracker.run_id, "corpus.html", str(tmp_path))
    assert "900 of 1,000 documents kept" in Page(Path(local).read_text(encoding="utf-8")).text
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["corpus-report"]))
        found = client.read_artifacts(artifact_filter=wanted)
    # Other tests leave reports on the same server.
    assert any(tracker.link_to("corpus.html") in str(each.data) for each in found)
