"""A dry run of a cleaning step: what it keeps, edits and drops; no corpus is written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.extensions import is_own
from corpusmill.tasks.ingestion.batches import DocumentBatch, excerpt_of
from corpusmill.tasks.ingestion.cleaning.steps import Step, cleaning_steps
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.parts import read_batches
from corpusmill.tasks.ingestion.readers.reading import cut
from corpusmill.tasks.ingestion.sources import resolve
from corpusmill.tasks.ingestion.stats import SAMPLES, Sample, Stats

# Characters of an excerpt that fit beside its place on a terminal.
_SHOWN = 100
_BASE: Mapping[str, Any] = {"normalise": False, "near_duplicates": "off"}
# Steps that are on where a file is named; the others are switches.
_OF_FILES = ("blocklist", "decontaminate")


@dataclass
class DryRun:
    """The result of a dry run.

    Attributes:
        stats: counts of documents read, dropped and edited, with samples of those dropped.
        kept: how many documents are kept.
        samples: the first documents kept unchanged and the first edited, as the step leaves them.
    """

    stats: Stats
    kept: int = 0
    samples: list[Sample] = field(default_factory=list)


def cleaning_of(step: str) -> CleaningConfig:
    """The configuration with this step alone; languages are identified in any case.

    Args:
        step: `package.module:Name`, a word such as c4_quality, or blocklist=FILE and the like.

    Raises:
        ConfigError: there is no such step, or it is off.
    """
    word, given, value = step.partition("=")
    if is_own(word):
        return parse(CleaningConfig, {**_BASE, "own_steps": (step,)})
    fields = CleaningConfig.model_fields.items()
    words = [name for name, each in fields if each.annotation is bool or name in _OF_FILES]
    if word not in words:
        raise ConfigError(
            f"There is no cleaning step {word!r}; expected package.module:Name of one's own, or "
            f"one of {', '.join(words)}, where blocklist and decontaminate take a file as "
            "blocklist=/absolute/path."
        )
    values = tuple(filter(None, [value])) if word == "decontaminate" else value
    cleaning = parse(CleaningConfig, {**_BASE, word: values if given else True})
    if not getattr(cleaning, word):
        raise ConfigError(
            f"{step!r} is a step that is off, which does nothing; expected {word}, or "
            f"{word}=/absolute/path where it takes a file."
        )
    return cleaning


def dry_run(config: CorpusConfig, downloads: Path) -> DryRun:
    """Reads all sources and runs the cleaning steps that are on, without writing documents.

    Raises:
        CorpusError: a source matches nothing, or a step of one's own returns what it may not.
    """
    run = DryRun(Stats())
    steps = cleaning_steps(config.cleaning, min_characters=0)
    for source in resolve(config, downloads):
        for file in source.files:
            for fragment in cut(file):
                for batch in read_batches(fragment, config, run.stats):
                    _take(batch, steps, run)
    return run


def in_lines(run: DryRun) -> Iterator[str]:
    """The result as lines of text: counts, edits, and excerpts by reason."""
    dropped = run.stats.dropped_by_reason()
    read, out = run.stats.documents_read, sum(dropped.values())
    yield f"{read:,} documents in, {run.kept:,} kept, {out:,} dropped"
    for name, count in sorted(run.stats.edits.items()):
        yield f"  {name}: {count:,}"
    samples = [*run.stats.all_samples(), *run.samples]
    for reason in dict.fromkeys(sample.reason for sample in samples):
        total = f", {dropped[reason]:,} dropped" if reason in dropped else ""
        yield ""
        yield f"{reason}{total}"
        for sample in samples:
            if sample.reason == reason:
                said = " ".join((sample.detail or sample.excerpt).split())
                yield f"  {sample.file} {sample.place}: {said[:_SHOWN]}"


def _take(batch: DocumentBatch, steps: list[Step], run: DryRun) -> None:
    left = batch
    for step in steps:
        left = step(left, run.stats)
    run.kept += len(left)
    rows = {number: row for row, number in enumerate(batch.numbers.tolist())}
    for row, number in enumerate(left.numbers.tolist()):
        counts = Counter(sample.reason for sample in run.samples)
        if counts["kept"] >= SAMPLES <= counts["edited"]:
            return
        text = left.texts[row].as_py()
        reason = "kept" if text == batch.texts[rows[number]].as_py() else "edited"
        if counts[reason] < SAMPLES:
            sample = Sample(reason, left.source, left.file, left.place(row), excerpt_of(text))
            run.samples.append(sample)
