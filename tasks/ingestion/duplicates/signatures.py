"""MinHash signatures of documents, hashed by band (Broder 1997; Leskovec et al., chapter 3).

A document's signature is, for each of BANDS x rows permutations of the shingles' hashes, the least
value that it has. Two documents of Jaccard similarity s agree in a permutation with probability s,
and in all rows of at least one band with probability 1 - (1 - s^rows)^BANDS.
"""

import math

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import buffers_of
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.ingestion.duplicates.engine import engine
from corpusmill.tasks.ingestion.duplicates.shingles import mix, symbols

BANDS = 20
LEAST_SIMILARITY = 0.25
_MISSED = 0.005
_MOST_ROWS = 12
_STEP = np.uint64(0x9E3779B97F4A7C15)


def rows_for(similarity: float) -> int:
    """Rows of a band: as many as miss at most 1 in 200 pairs of just this similarity.

    0.8 gives 6 rows, 120 permutations, and finds 99.8 %.

    Raises:
        ConfigError: a similarity that 20 bands cannot find.
    """
    if not LEAST_SIMILARITY <= similarity <= 1:
        raise ConfigError(
            f"similarity is {similarity}, expected {LEAST_SIMILARITY} to 1, since fewer common "
            "words than that are found by chance; set cleaning.similarity, 0.8 for example"
        )
    agree = 1 - _MISSED ** (1 / BANDS)
    return min(_MOST_ROWS, int(math.log(agree) / math.log(min(similarity, 0.999))))


def band_hashes(texts: pa.LargeStringArray, rows: int) -> np.ndarray:
    """Hashes of the bands of each document's signature.

    A document's hashes depend on its text and `rows` alone. Time is linear in the bytes; memory
    does not depend on them with numba, and with numpy is about 60 times those of the batch.

    Args:
        texts: (documents,).
        rows: permutations in a band, see `rows_for`.

    Returns:
        uint64 (documents, BANDS); 0 for documents without tokens, which have no duplicates here.
    """
    multipliers, addends = _permutations(BANDS * rows)
    hashes: np.ndarray = engine().band_hashes(
        *buffers_of(texts), symbols(), multipliers, addends, BANDS
    )
    return hashes


def _permutations(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and terms of the permutations x -> a x + b modulo 2^32; two times uint32."""
    # SplitMix64 and not numpy's generators, which may differ from release to release.
    drawn = mix(np.arange(1, number + 1, dtype=np.uint64) * _STEP)
    return (drawn >> np.uint64(32)).astype(np.uint32) | np.uint32(1), drawn.astype(np.uint32)
