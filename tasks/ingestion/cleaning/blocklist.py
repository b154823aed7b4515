"""Unwanted text: documents that hold a word or phrase of a list."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.phrases import WHOLE, PhraseMatcher, drop_found
from corpusmill.tasks.ingestion.stats import Stats


@dataclass(frozen=True)
class BlocklistFilter:
    """Drops documents that hold one of these phrases; a sample shows the phrase alone."""

    phrases: PhraseMatcher
    name = "blocklist"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        found = self.phrases.find(batch.texts)
        return drop_found(batch, found, "blocklist", self.phrases.texts, stats)


def read_blocklist(path: str) -> BlocklistFilter:
    """The block list in this file: UTF-8, one word or phrase a line.

    Raises:
        CorpusError: a file that cannot be read, is not UTF-8 or holds no phrase.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"corpus.cleaning.blocklist {path} cannot be read ({error}); expected a file in UTF-8 "
            "with one word or phrase a line; mend the file or its path."
        ) from error
    lines = (line.strip() for line in unicodedata.normalize("NFC", text).splitlines())
    phrases = tuple(dict.fromkeys(line for line in lines if line))
    if not phrases:
        raise CorpusError(
            f"corpus.cleaning.blocklist {path} is empty, expected one word or phrase a line; add "
            "some, or take the list out of the configuration."
        )
    return BlocklistFilter(PhraseMatcher(phrases, width=WHOLE, least=1, marks=True))
