"""Documents that hold text of an evaluation set (Brown et al. 2020, arXiv 2005.14165, appendix C).

Documents are searched for 13-grams of words (22 characters in Chinese), without regard to case and
punctuation. A shorter evaluation text is searched for as a whole if it has at least 8 words (14
characters), and otherwise not at all: such texts are commonplaces more often than contamination.
"""

from dataclasses import dataclass

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.evaluation_text import evaluation_files, read_texts
from corpusmill.tasks.ingestion.cleaning.phrases import PhraseMatcher, drop_found
from corpusmill.tasks.ingestion.stats import Stats

_LEAST = 8
_EXCERPT = 100


@dataclass(frozen=True)
class ContaminationFilter:
    """Drops documents that share an n-gram with evaluation text; a sample says with which."""

    phrases: PhraseMatcher
    details: tuple[str, ...]
    name = "contamination"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        found = self.phrases.find(batch.texts)
        return drop_found(batch, found, "contaminated", self.details, stats)


def read_contamination(patterns: tuple[str, ...], width: int) -> ContaminationFilter:
    """The step for the evaluation text in these files, absolute paths or globs.

    Raises:
        CorpusError: a pattern without files, or a file that cannot be read.
    """
    texts: dict[str, str] = {}
    for path in evaluation_files(patterns):
        for text in read_texts(path):
            texts.setdefault(text, f"{path.name}: {text[:_EXCERPT]}")
    return ContaminationFilter(
        PhraseMatcher(tuple(texts), width, _LEAST, marks=False), tuple(texts.values())
    )
