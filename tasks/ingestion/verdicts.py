"""Which documents of the parts of a corpus are duplicates, and of which sources they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.corpus.documents import texts_of
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.duplicates.components import near_duplicates
from corpusmill.tasks.ingestion.duplicates.exact import exact_duplicates
from corpusmill.tasks.ingestion.parts import part_bands, part_batches, part_documents

_PAIRS = 10
# Of nights alone.
OF_NIGHTS = ("seen", "near_duplicate_of_seen", "relative_of_both", "forgotten", "set_aside")
REASONS = ("", "duplicate", "near_duplicate", *OF_NIGHTS)


@dataclass(frozen=True)
class Verdicts:
    """For each document of the parts, in their order, whether it is kept and what it is similar to.

    Attributes:
        reason: int8 (documents,): an index into `REASONS`; 0 for those that are kept.
        first: int64 (documents,): the first document of its component; a component is in one split.
        pairs: some near-duplicates, as (first, second, similarity).
    """

    reason: np.ndarray
    first: np.ndarray
    pairs: Sequence[tuple[int, int, float]]


def find_duplicates(parts: Sequence[Path], ids: np.ndarray, config: CorpusConfig) -> Verdicts:
    """Finds exact and near-duplicates; the first of them is kept."""
    exact = exact_duplicates(ids)
    duplicate = (exact != np.arange(len(ids))).astype(np.int8)
    wanted = config.cleaning.near_duplicates
    if wanted == "off":
        return Verdicts(duplicate, exact, ())
    found = near_duplicates(
        [part_bands(part) for part in parts],
        texts_of([part_documents(part) for part in parts]),
        config.cleaning.similarity,
        exact,
    )
    similar = (found.representative != np.arange(len(ids))) & (duplicate == 0)
    reason = duplicate + 2 * similar.astype(np.int8) if wanted == "drop" else duplicate
    some = zip(found.earlier, found.later, found.similarity, strict=True)
    pairs = [(int(a), int(b), float(s)) for a, b, s in islice(some, _PAIRS)]
    return Verdicts(reason, found.component, pairs)


def of_sources(parts: Sequence[Path], names: Collection[str]) -> np.ndarray | None:
    """bool (documents,): whether each is of one of these sources; None if `names` is empty."""
    if not names:
        return None
    wanted = pa.array(list(names), pa.string())
    batches = (batch for part in parts for batch in part_batches(part))
    return np.concatenate([np.array(pc.is_in(batch.column("source"), wanted)) for batch in batches])
