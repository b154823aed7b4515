"""What token shards look like on disk, format version 2.

`<split>.tokens.arrow` holds one column `ids` of uint16 (uint32 for vocabularies above 65,536),
uncompressed, in record batches of exactly 2^24 tokens but the last, so that finding a token is one
division. The metadata of each record batch holds the XXH3 checksums of its ids, one for every 2^20
tokens: small enough to verify on first touch without reading far more than was asked for.

`<split>.documents.arrow` holds for each document its id, source, language and the offset at which
its tokens end. Documents of a source lie next to each other. Neither file depends on how the
documents were divided among workers.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpusmill.storage.splits import Split

FORMAT_VERSION = 2
BATCH_TOKENS = 1 << 24
CHECKED_TOKENS = 1 << 20
CHECKSUMS = b"xxh3_128"
DOCUMENTS_SUFFIX = ".documents.arrow"
DOCUMENTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds every id below `vocab_size`."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)


def tokens_path(directory: Path, split: Split) -> Path:
    """The file of a split's token ids."""
    return directory / f"{split}.tokens.arrow"


def documents_path(directory: Path, split: Split) -> Path:
    """The file of a split's documents."""
    return directory / f"{split}{DOCUMENTS_SUFFIX}"


def checksum(ids: np.ndarray) -> str:
    """XXH3 (128 bits, hexadecimal) of the bytes of token ids."""
    return xxhash.xxh3_128_hexdigest(ids.data)
