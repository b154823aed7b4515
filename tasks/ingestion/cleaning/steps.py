"""The cleaning of documents: small steps, each with a name, on or off in the configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.extensions import digest_source
from corpusmill.storage.manifest import digest_file, digest_json
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.blocklist import read_blocklist
from corpusmill.tasks.ingestion.cleaning.c4 import C4QualityFilter
from corpusmill.tasks.ingestion.cleaning.contamination import read_contamination
from corpusmill.tasks.ingestion.cleaning.evaluation_text import evaluation_files
from corpusmill.tasks.ingestion.cleaning.languages import LanguageFilter
from corpusmill.tasks.ingestion.cleaning.length import LengthFilter
from corpusmill.tasks.ingestion.cleaning.normalisation import Normalisation
from corpusmill.tasks.ingestion.cleaning.own_step import own_cleaning
from corpusmill.tasks.ingestion.cleaning.pii import PIIFormatter
from corpusmill.tasks.ingestion.cleaning.rules import QualityFilter
from corpusmill.tasks.ingestion.config import CleaningConfig
from corpusmill.tasks.ingestion.stats import Stats


class Step(Protocol):
    """Takes the documents of a batch, and returns those that it keeps, as it leaves them.

    What becomes of a document depends on its own text and language alone, so that the result is the
    same however documents are put into batches. A step that changes text or drops documents counts
    that in the statistics.
    """

    @property
    def name(self) -> str:
        """What the step is called in reports."""

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        """Cleans one batch."""


def cleaning_steps(config: CleaningConfig, min_characters: int) -> list[Step]:
    """The steps that are on, in the order in which they run.

    Raises:
        CorpusError: a block list or evaluation text that cannot be read.
        ConfigError: wanted languages that cannot be identified here, or a step of one's own that
            is not found or is not a step.
    """
    return list(_steps(config, min_characters))


def digest_inputs(config: CleaningConfig) -> str:
    """The digest of the files and of one's own code that the configuration names.

    Raises:
        CorpusError: a file that is missing or cannot be read.
        ConfigError: a step of one's own that is not found.
    """
    files = [Path(config.blocklist)] if config.blocklist else []
    try:
        named = [digest_file(path) for path in files + evaluation_files(config.decontaminate)]
    except OSError as error:
        raise CorpusError(
            f"{error.filename} cannot be read ({error.strerror}); expected a file that "
            "corpus.cleaning names; mend its path, or take it out of the configuration."
        ) from error
    return digest_json(named + [digest_source(name) for name in config.own_steps])


def _steps(config: CleaningConfig, min_characters: int) -> Iterator[Step]:
    marks = config.segmentation == "unicode"
    if config.normalise:
        yield Normalisation()
    yield LengthFilter(min_characters)
    if config.identify_languages:
        yield LanguageFilter(config.languages, config.min_language_score)
    fineweb = config.fineweb_quality
    # C4 edits the text: only without it do all rules see the same text and share one pass.
    with_fineweb = fineweb and not config.c4_quality
    if config.gopher_quality or config.gopher_repetition or with_fineweb:
        yield QualityFilter(config.gopher_quality, config.gopher_repetition, with_fineweb, marks)
    if config.c4_quality:
        yield C4QualityFilter()
        if fineweb:
            yield QualityFilter(fineweb=True, marks=marks)
    if config.blocklist:
        yield read_blocklist(config.blocklist)
    if config.decontaminate:
        yield read_contamination(config.decontaminate, config.contamination_ngram)
    yield from map(own_cleaning, config.own_steps)
    if config.mask_pii:
        yield PIIFormatter()
