"""JSON Lines to Arrow on one core.

`python -m tests.benchmarks.reading FILE.jsonl` prints MB/s; the file should be in the page cache.
"""

import sys
import time
from pathlib import Path
from statistics import median

import pyarrow as pa

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.fragments import Fragment, SourceFile
from corpusmill.tasks.ingestion.readers.formats import format_at
from corpusmill.tasks.ingestion.readers.reading import read

_RUNS = 5


def measure(data: Path) -> float:
    """Megabytes of the file a second, opening it included; the median of some runs."""
    pa.set_cpu_count(1)
    status = data.stat()
    size = status.st_size
    form = format_at(data)
    file = SourceFile(
        "s", data.name, data, size, "", status.st_mtime_ns, form, "text", "auto", "file"
    )
    documents = _read(file)  # compiles, and fills the page cache
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        assert _read(file) == documents
        seconds.append(time.perf_counter() - start)
    rate = size / 1e6 / median(seconds)
    print(f"{data.name}: {documents} documents, {size / 1e6:.1f} MB, {rate:.0f} MB/s")
    return rate


def _read(file: SourceFile) -> int:
    items = read(Fragment(file), CorpusConfig())
    return sum(len(item) for item in items if isinstance(item, DocumentBatch))


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
