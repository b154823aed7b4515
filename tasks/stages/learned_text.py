"""The text that a version goes back to, and which labelled examples stand in it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpusmill.storage.artifacts import Ref, find
from corpusmill.storage.corpus.documents import document_id
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.memory import KIND, TRAIN, Memory
from corpusmill.storage.versions import CORPUS, EXAMPLES, MEMORY, RegisteredModel
from corpusmill.tasks.ingestion.config import CleaningConfig
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS, band_hashes, rows_for
from corpusmill.tasks.stages.lineage import start_of

# Of texts that are alike in 0.89 of their words half the bands agree.
_NEAR = BANDS // 2


def learned_text(
    layout: Layout, versions: Sequence[RegisteredModel], version: RegisteredModel
) -> tuple[list[Ref], list[str]]:
    """What a version has learned from: the corpora of its line, the newest first, and its memory.

    Of a version that answers with labels, that of the language model it goes back to.

    Args:
        versions: all that there are.

    Returns:
        The artifacts, and digests of the corpora that are not in the store any more.
    """
    begun: RegisteredModel | None = version
    while begun and EXAMPLES in begun.tags:
        begun = start_of(versions, begun)
    if begun is None:
        return [], []
    digests = [begun.tags[CORPUS]] if CORPUS in begun.tags else []
    found, gone = [], []
    if memory := _find(layout, KIND, begun.tags.get(MEMORY, "")):
        digests = [each.corpus for each in reversed(Memory(memory.path).segments)]
    for digest in dict.fromkeys(digests):
        if corpus := _find(layout, "corpus", digest):
            found.append(corpus)
        else:
            gone.append(digest)
    return [*found, *([memory] if memory else [])], gone


def _find(layout: Layout, kind: str, digest: str) -> Ref | None:
    try:
        return find(layout, kind, digest) if digest else None
    except ArtifactError:
        return None


def copies_in_memory(texts: Sequence[str], memory: Ref) -> np.ndarray:
    """Which texts a line has trained on as documents of their own; bool (texts,).

    By the document's id, or by half of its MinHash bands, where the line looked for near-duplicates
    at the similarity that corpora have by default. Text within a longer document is not seen.
    """
    met = Memory(memory.path).met
    trained = met.sides == TRAIN
    known = {each.tobytes() for each in met.ids[trained]}
    same = [bytes.fromhex(document_id(text.encode())) in known for text in texts]
    rows = rows_for(CleaningConfig().similarity)
    bands = band_hashes(pa.array(texts, pa.large_string()), rows)
    agree = np.zeros(len(texts), np.int64)
    for band, there in zip(bands.T, met.bands[trained].T, strict=True):
        agree += np.isin(band, there) & (band != 0)
    return np.array(same, bool) | (agree >= _NEAR)
