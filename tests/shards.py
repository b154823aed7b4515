"""Shards for tests: documents given as token ids."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.storage.shards.schema import DOCUMENTS
from corpusmill.storage.shards.writing import ShardWriter
from corpusmill.storage.splits import Split


def write_shards(
    directory: Path,
    split: Split,
    vocab_size: int,
    documents: Iterable[tuple[str, np.ndarray]],
) -> dict[str, int]:
    """Writes documents of one unnamed source, each (document id, token ids), as a stream.

    Returns:
        {"documents": …, "tokens": …}
    """
    names: list[str] = []
    ends: list[int] = []
    with ShardWriter(directory, split, vocab_size) as writer:
        for name, ids in documents:
            writer.append_ids(ids)
            names.append(name)
            ends.append(writer.tokens)
        unnamed, undetermined = [""] * len(names), ["und"] * len(names)
        columns = {"id": names, "source": unnamed, "language": undetermined, "end": ends}
        writer.append_documents(pa.table(columns, DOCUMENTS))
    return {"documents": len(names), "tokens": writer.tokens}
