"""What each cleaning rule keeps of six Chinese and six English sets: the table of docs/cleaning.md.

`python -m tests.benchmarks.cleaning FOLDER` measures each rule by itself, on up to 300 documents of
each set, and writes the table. Three sets are translations of each other, cut at the same places.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path

import rjieba

from corpusmill.flows.recipes.decoders import gpt_web
from corpusmill.tasks.ingestion.batches import DocumentBatch, make_batch
from corpusmill.tasks.ingestion.cleaning import reference
from corpusmill.tasks.ingestion.cleaning.c4 import C4QualityFilter
from corpusmill.tasks.ingestion.cleaning.characters import WORD, flags_of
from corpusmill.tasks.ingestion.cleaning.languages import LanguageFilter
from corpusmill.tasks.ingestion.cleaning.steps import cleaning_steps
from corpusmill.tasks.ingestion.cleaning.thresholds import (
    REASONS,
    SPACED,
    STOP_WORD_LANGUAGES,
    UNSPACED,
)
from corpusmill.tasks.ingestion.stats import Stats
from tests.benchmarks.page import write_part
from tests.benchmarks.text import records, sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cleaning.md"
SETS = {
    "zh": ("Vue's manual", "Python's manual", "Bible", "Wikipedia", "hotel reviews", "poems"),
    "en": ("EIPs", "Python's manual", "Bible", "Wikipedia", "novels", "WikiText-2"),
}
RULES = (reference.gopher_quality, reference.gopher_repetition, reference.fineweb_quality)
_DOCUMENTS = 300
_SECTION = 3000
# A word of rjieba has 1.7 characters.
_BY_WORDS = UNSPACED._replace(
    top_sizes=SPACED.top_sizes,
    duplicate_sizes=SPACED.duplicate_sizes,
)
_N_GRAMS = {"top": "most frequent", "duplicate": "repeated"}


class Segmented(reference.Document):
    """A document whose words are those of rjieba, with the marks that follow them."""

    @property
    def weight(self) -> float:
        return len(self.words)

    @cached_property
    def words(self) -> list[str]:
        words: list[str] = []
        for piece in rjieba.cut(self.text):
            marks = not any(flags_of(c) & WORD for c in piece)
            if marks and not piece.isspace() and words:
                words[-1] += piece
            elif not piece.isspace():
                words.append(piece)
        return words


def texts_of(folder: Path, language: str) -> Iterator[list[str]]:
    """The documents of each of SETS in this language."""
    manual = records(folder / "pydocs_en_zh/pydocs_en_zh.jsonl.gz")
    bible = records(folder / "bible_kjv_cuv/bible_en_zh.jsonl.gz")
    parallel = (
        _cut(manual, lambda record: record["doc"], language),
        _cut(bible, lambda record: record["id"].rpartition(".")[0], language),
        wikipedia(folder, language),
    )
    if language == "zh":
        yield [record["text"] for record in records(folder / "docs_zh_vue/docs.jsonl.gz")]
        yield from parallel
        reviews = (folder / "chnsenticorp/train.tsv").read_text("utf-8").splitlines()
        yield [review.partition("\t")[0] for review in reviews]
        yield [record["text"] for record in records(folder / "chinese_poetry/poems.jsonl.gz")]
    else:
        yield [record["text"] for record in records(folder / "lm_en_eips_md/eips.jsonl.gz")]
        yield from parallel
        novels = records(folder / "lm_en_ebooks/chapters.jsonl.gz")
        yield [section for record in novels for section in sections(record["text"])]
        yield list(sections((folder / "wikitext2_valid_test/valid.txt").read_text("utf-8")))


def wikipedia(folder: Path, language: str) -> list[str]:
    """Paragraphs of Wikipedia, those of one language translated from the other."""
    squad = json.loads((folder / f"xquad_en_zh_de/xquad.{language}.json").read_text("utf-8"))
    return [paragraph["context"] for page in squad["data"] for paragraph in page["paragraphs"]]


def _cut(
    all_records: Iterable[dict[str, str]], place: Callable[[dict[str, str]], str], language: str
) -> list[str]:
    """One document for each place, or more where its English is long."""
    documents: list[list[str]] = []
    before, size = "", 0
    for record in all_records:
        if place(record) != before or size > _SECTION:
            documents.append([])
            before, size = place(record), 0
        documents[-1].append(record[language])
        size += len(record["en"])
    return ["\n".join(lines) for lines in documents]


def broken(document: reference.Document, by_words: bool = False) -> set[str]:
    """Which rules of Gopher and FineWeb the document breaks, each by itself."""
    limits = _BY_WORDS if by_words else UNSPACED if document.unspaced else SPACED
    found = set()
    for rule in RULES:
        # A rule divides by the words, of which there may be none.
        with suppress(ZeroDivisionError):
            found |= {reason for reason, is_broken in rule(document, limits) if is_broken}
    return found


def shares(texts: Sequence[str], language: str) -> dict[str, float]:
    """The share of documents, or of lines, that each rule keeps."""
    count = len(texts)
    batch = LanguageFilter((), 0.0)(make_batch("set", "file", texts, "line", range(count)), Stats())
    codes = batch.languages.to_pylist()
    asked = [code in STOP_WORD_LANGUAGES for code in codes]
    documents = [
        reference.Document(text, False, ask) for text, ask in zip(texts, asked, strict=True)
    ]
    each = [broken(document) for document in documents]
    rows = {"documents": float(count), "language told": codes.count(language) / count}
    names = list(dict.fromkeys(_row_of(reason) for reason in REASONS[1:]))
    lost = Counter(name for reasons in each for name in {_row_of(reason) for reason in reasons})
    rows |= {name: 1 - lost[name] / count for name in names}
    rows |= _c4(batch)
    rows["Gopher and FineWeb"] = sum(not reasons for reasons in each) / count
    if language == "zh":
        words = [broken(Segmented(d.text, False, d.stop_words), d.unspaced) for d in documents]
        same = sum(bool(a) == bool(b) for a, b in zip(each, words, strict=True))
        rows["… the same by words of rjieba"] = same / count
    rows["gpt-web"] = _kept(batch) / count
    return rows


def _row_of(reason: str) -> str:
    family, _, rule = reason.partition(".")
    rule = rule.removesuffix("_fraction")
    if family == "gopher":
        kind, _, what = rule.partition("_")
        if what.endswith("gram"):
            rule = f"{_N_GRAMS[kind]} n-grams"
        elif kind == "duplicate":
            rule = f"repeated {what.removesuffix('_characters')}s"
    return f"{family}: {rule.replace('_', ' ')}"


def _c4(batch: DocumentBatch) -> dict[str, float]:
    pages, stats = Stats(), Stats()
    C4QualityFilter()(batch, pages)
    dropped = pages.dropped_by_reason()
    clean = [text for text in batch.texts.to_pylist() if "{" not in text]
    lines = sum(bool(line.strip()) for text in clean for line in text.split("\n"))
    C4QualityFilter()(make_batch("set", "file", clean, "line", range(len(clean))), stats)
    rows = {
        f"c4: {name.replace('_', ' ')}": 1 - dropped.get(f"c4.{name}", 0) / len(batch)
        for name in ("curly_bracket", "few_sentences")
    }
    for name in ("line_without_end", "short_line", "policy"):
        rows[f"c4: {name.replace('_', ' ')} (of lines)"] = 1 - stats.edits[f"c4.{name}"] / max(
            1, lines
        )
    return rows


def _kept(batch: DocumentBatch) -> int:
    for step in cleaning_steps(gpt_web().corpus.cleaning, 1):
        batch = step(batch, Stats())
    return len(batch)


def table(folder: Path) -> list[str]:
    """The table, a column for each set."""
    columns = []
    for language, names in SETS.items():
        for name, texts in zip(names, texts_of(folder, language), strict=True):
            print(f"{language} {name}", file=sys.stderr)
            drawn = random.Random(0).sample(texts, min(_DOCUMENTS, len(texts)))
            columns.append(shares(drawn, language))
    titles = [f"{language} {name}" for language, names in SETS.items() for name in names]
    rows = list(dict.fromkeys(chain.from_iterable(columns)))
    lines = [f"| % kept | {' | '.join(titles)} |", f"|---|{'---:|' * len(titles)}"]
    for row in rows:
        cells = (_cell(column.get(row), row == "documents") for column in columns)
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None, is_count: bool) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if is_count else f"{100 * value:.1f}".removesuffix(".0")


def main(folder: str) -> None:
    """Writes the table into its page."""
    title = "# What each rule keeps"
    how = [
        "Made by `python -m tests.benchmarks.cleaning FOLDER`: each rule by itself, in percent of",
        f"up to {_DOCUMENTS} documents drawn of each set; of C4's lines, in percent of these.",
        "Python's manual, the Bible and paragraphs of Wikipedia are translations of each other.",
    ]
    write_part([title, "", *how, "", *table(Path(folder))], PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
