"""A cleaning step on trial: what it keeps, edits and drops of some files; no corpus is made."""

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
# Fields of CleaningConfig that are no steps by themselves.
_NO_STEPS = {
    *("languages", "min_language_score", "segmentation", "contamination_ngram"),
    *("own_steps", "near_duplicates", "similarity"),
}


@dataclass
class Trial:
    """What became of the documents of some files.

    Attributes:
        stats: how many came in, were dropped and edited, with samples of those dropped.
        kept: how many are left.
        samples: the first of these, and of those that were edited, as they are now.
    """

    stats: Stats
    kept: int = 0
    samples: list[Sample] = field(default_factory=list)


def cleaning_of(step: str) -> CleaningConfig:
    """The configuration with one step alone, beside that each document is given its language.

    Args:
        step: `package.module:Name`, a word such as c4_quality, or blocklist=FILE and the like.

    Raises:
        ConfigError: there is no such step.
    """
    word, given, value = step.partition("=")
    if is_own(word):
        return parse(CleaningConfig, {**_BASE, "own_steps": (step,)})
    words = [each for each in CleaningConfig.model_fields if each not in _NO_STEPS]
    if word not in words:
        raise ConfigError(
            f"There is no cleaning step {word!r}; expected package.module:Name of one's own, or "
            f"one of {', '.join(words)}, where blocklist and decontaminate take a file as "
            "blocklist=/absolute/path."
        )
    values = (value,) if word == "decontaminate" else value
    return parse(CleaningConfig, {**_BASE, word: values if given else True})


def try_cleaning(config: CorpusConfig, downloads: Path) -> Trial:
    """Reads all of the sources and takes the steps that are on, and keeps nothing of it.

    Raises:
        CorpusError: a source that leads to nothing, or what a step of one's own does wrong.
    """
    trial = Trial(Stats())
    steps = cleaning_steps(config.cleaning, min_characters=0)
    for source in resolve(config, downloads):
        for file in source.files:
            for fragment in cut(file):
                for batch in read_batches(fragment, config, trial.stats):
                    _take(batch, steps, trial)
    return trial


def in_lines(trial: Trial) -> Iterator[str]:
    """A trial for a person to read: counts, edits, and excerpts by what became of them."""
    dropped = trial.stats.dropped_by_reason()
    read, out = trial.stats.documents_read, sum(dropped.values())
    yield f"{read:,} documents in, {trial.kept:,} kept, {out:,} dropped"
    for name, count in sorted(trial.stats.edits.items()):
        yield f"  {name}: {count:,}"
    samples = [*trial.stats.all_samples(), *trial.samples]
    for reason in dict.fromkeys(sample.reason for sample in samples):
        total = f", {dropped[reason]:,} dropped" if reason in dropped else ""
        yield f"\n{reason}{total}"
        for sample in samples:
            if sample.reason == reason:
                said = " ".join((sample.detail or sample.excerpt).split())
                yield f"  {sample.file} {sample.place}: {said[:_SHOWN]}"


def _take(batch: DocumentBatch, steps: list[Step], trial: Trial) -> None:
    left = batch
    for step in steps:
        left = step(left, trial.stats)
    trial.kept += len(left)
    rows = {number: row for row, number in enumerate(batch.numbers.tolist())}
    for row, number in enumerate(left.numbers.tolist()):
        counts = Counter(sample.reason for sample in trial.samples)
        if counts["kept"] >= SAMPLES <= counts["edited"]:
            return
        text = left.texts[row].as_py()
        reason = "kept" if text == batch.texts[rows[number]].as_py() else "edited"
        if counts[reason] < SAMPLES:
            sample = Sample(reason, left.source, left.file, left.place(row), excerpt_of(text))
            trial.samples.append(sample)
