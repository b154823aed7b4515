"""Near-duplicates beside datasketch and rensa, on one core, with planted edits.

`python -m tests.benchmarks.duplicates FOLDER PEER_PYTHON [DOCUMENTS]` prints JSON; PEER_PYTHON is
the interpreter of an environment that has datasketch, rensa and pyarrow.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import Texts
from corpusmill.tasks.ingestion.duplicates.components import near_duplicates
from corpusmill.tasks.ingestion.duplicates.signatures import band_hashes, rows_for
from tests.benchmarks.planted import jaccard, plant
from tests.benchmarks.text import real_documents

_SIMILARITY = 0.8
_PEERS = ("datasketch", "rensa")
_BLOCK = 2048


def main(folder: Path, peer_python: str, number: int) -> dict[str, Any]:
    """Measures ours before and after each peer; its seconds are the median of these runs."""
    real = [text for text in real_documents(folder) if len(text) > 200]
    random.Random(0).shuffle(real)
    documents, planted = plant(real[:number], number // 10, seed=0)
    similar = [pair for pair in planted if jaccard(*_both(documents, pair)) >= _SIMILARITY]
    texts = pa.array(documents, pa.large_string())
    results: dict[str, Any] = {
        "documents": len(documents),
        "megabytes": round(texts.nbytes / 1e6, 1),
        "planted": len(planted),
        "planted_similar": len(similar),
    }
    ours(pa.concat_arrays([texts.slice(0, 9)] * 2))  # compiles all, with pairs to compare
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "documents.arrow"
        with pa.ipc.new_file(str(file), pa.schema([("text", pa.large_string())])) as writer:
            writer.write_table(pa.table({"text": texts}), _BLOCK)
        runs = [ours(texts)]
        for peer in _PEERS:
            script = str(Path(__file__).with_name("duplicates_peers.py"))
            command = [peer_python, script, peer, str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results[peer] = _judged(json.loads(done.stdout), documents, similar)
            runs.append(ours(texts))
    results["ours"] = _judged(
        sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2], documents, similar
    )
    results["ours"]["seconds_of_runs"] = [run["seconds"] for run in runs]
    results["ours"]["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for peer in _PEERS:
        for clock in ("seconds", "signature_seconds"):
            ratio = results[peer][clock] / results["ours"][clock]
            results[peer][f"{clock}_by_ours"] = round(ratio, 1)
    return results


def ours(texts: pa.LargeStringArray) -> dict[str, Any]:
    """From text to the documents dropped: seconds, and for whose sake each of them goes."""
    start = time.perf_counter()
    blocks = [texts.slice(row, _BLOCK) for row in range(0, len(texts), _BLOCK)]
    bands = [band_hashes(block, rows_for(_SIMILARITY)) for block in blocks]
    signed = time.perf_counter()
    found = near_duplicates(bands, Texts(blocks), _SIMILARITY, np.arange(len(texts)))
    done = time.perf_counter()
    later = np.flatnonzero(found.representative != np.arange(len(texts)))
    return {
        "seconds": round(done - start, 3),
        "signature_seconds": round(signed - start, 3),
        "removed": {int(row): [int(found.representative[row])] for row in later},
    }


def _judged(
    run: dict[str, Any], documents: Sequence[str], similar: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Recall on the planted pairs that are similar, and removals without a similar document."""
    removed = {int(row): others for row, others in run.pop("removed").items()}
    false = [
        row
        for row, others in removed.items()
        if all(jaccard(*_both(documents, (row, other))) < _SIMILARITY for other in others)
    ]
    found = sum(1 for _, copy in similar if copy in removed)
    run["documents_per_second"] = round(len(documents) / run["seconds"])
    run["recall"] = round(found / max(1, len(similar)), 4)
    run["removals"] = len(removed)
    run["false_removals"] = round(len(false) / max(1, len(removed)), 4)
    return run


def _both(documents: Sequence[str], pair: tuple[int, int]) -> tuple[str, str]:
    return documents[pair[0]], documents[pair[1]]


if __name__ == "__main__":
    folder, peer_python, *rest = sys.argv[1:]
    size = int(rest[0]) if rest else 20_000
    json.dump(main(Path(folder), peer_python, size), sys.stdout, indent=2)
