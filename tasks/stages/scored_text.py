"""Text that a model is to be scored on, as it is: files in, something like a held-out side out."""

from pathlib import Path
from typing import Any

from corpusmill.storage.artifacts import Ref, Spec, discard, obtain
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion.building import partitions_of
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part, part_batches, read_stats
from corpusmill.tasks.ingestion.sources import resolve
from corpusmill.tasks.ingestion.stats import Stats
from corpusmill.tasks.stages.held_out import CHOSEN_KIND


def take_text(layout: Layout, config: CorpusConfig) -> Ref:
    """Every document of the sources, read and cleaned as the config says, none for training.

    Equal documents stay, for each of them is scored.

    Raises:
        CorpusError: a source that does not exist, matches nothing or cannot be read, or no document
            in any of them.
    """
    sources = resolve(config, layout.downloads, layout.file_index)
    parts = [make_part(layout, partition, config) for partition in partitions_of(sources)]
    names = [source.name for source in sources]
    pairs = sorted(source.name for source in sources if source.pairs)

    def write(directory: Path) -> dict[str, Any]:
        stats = Stats()
        with SplitWriter(directory, "validation") as writer:
            for part in parts:
                stats.add(read_stats(part.path))
                for batch in part_batches(part.path):
                    writer.add(batch)
        if not writer.documents:
            raise CorpusError(
                f"None of the {stats.documents_read} documents of {', '.join(names)} can be scored "
                f"({stats.dropped_by_reason() or 'they are empty'}); expected at least one: see "
                "how they are read with `corpusmill try normalise FILE`."
            )
        return {"validation": writer.counts, "pairs": pairs, "sources": names}

    inputs = {str(number): part.digest for number, part in enumerate(parts)}
    ref, _ = obtain(layout, Spec(CHOSEN_KIND, 2, inputs, {"pairs": pairs}), write)
    for part in parts:
        discard(part)
    return ref
