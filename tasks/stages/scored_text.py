"""Text that a model is to be scored on, as it is: files in, something like a held-out side out."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.storage.artifacts import Ref, Spec, discard, obtain
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.ingestion.building import count_apart, partitions_of
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part, part_batches, part_spec, read_stats
from corpusmill.tasks.ingestion.sources import ResolvedSource, resolve
from corpusmill.tasks.ingestion.stats import Stats
from corpusmill.tasks.stages.held_out import CHOSEN_KIND

# The log names at most so many files that could not be read.
_NAMED = 5
_LOGGER = logging.getLogger(__name__)


def take_text(layout: Layout, config: CorpusConfig) -> Ref:
    """Every document of the sources that can be read, cleaned as the config says.

    Equal documents stay, for each of them is scored. What cannot be read is counted by reason, as
    `dropped_of` gives it, and the log says so.

    Raises:
        CorpusError: a source that does not exist, matches nothing or cannot be read, or no document
            in any of them.
    """
    sources = resolve(config, layout.downloads, layout.file_index)
    partitions = partitions_of(sources)
    pairs = sorted(source.name for source in sources if source.pairs)

    def write(directory: Path) -> dict[str, Any]:
        parts = [make_part(layout, partition, config) for partition in partitions]
        counts = _join(directory, sources, [part.path for part in parts])
        for part in parts:
            discard(part)
        return {**counts, "pairs": pairs}

    # The parts need not be there: what they are made of says which text comes of them.
    inputs = {str(n): part_spec(each, config).digest for n, each in enumerate(partitions)}
    apart = {each.name: [[file.name, file.size] for file in each.apart] for each in sources}
    ref, _ = obtain(layout, Spec(CHOSEN_KIND, 3, inputs, {"pairs": pairs, "apart": apart}), write)
    if dropped := dropped_of(ref):
        _LOGGER.warning(
            "%d documents cannot be scored (%s)%s",
            sum(dropped.values()),
            in_short(dropped),
            "".join(f"; {each}" for each in read_manifest(ref.path)["counts"]["unread"]),
        )
    return ref


def dropped_of(text: Ref) -> dict[str, int]:
    """Documents of a text that are not scored, by reason; none of what was held out."""
    documents = read_manifest(text.path)["counts"].get("documents", {})
    dropped: dict[str, int] = documents.get("dropped", {})
    return dropped


def in_short(dropped: Mapping[str, int]) -> str:
    """How many documents were dropped, reason by reason."""
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())


def _join(
    directory: Path, sources: Sequence[ResolvedSource], parts: Sequence[Path]
) -> dict[str, Any]:
    stats = Stats()
    names = [source.name for source in sources]
    with SplitWriter(directory, "validation") as writer:
        for part in parts:
            stats.add(read_stats(part))
            for batch in part_batches(part):
                writer.add(batch)
    for source in sources:
        count_apart(stats, source)
    dropped = stats.dropped_by_reason()
    if not writer.documents:
        raise CorpusError(
            f"None of the {stats.documents_read} documents of {', '.join(names)} can be scored "
            f"({in_short(dropped) or 'they are empty'}); expected at least one: see "
            "how they are read with `corpusmill try normalise FILE`."
        )
    return {
        "validation": writer.counts,
        "documents": {"in": stats.documents_read, "kept": writer.documents, "dropped": dropped},
        "unread": [f"{each.file}: {each.detail}" for each in stats.most_unread(_NAMED)],
        "sources": names,
    }
