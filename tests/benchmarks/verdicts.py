"""Gopher's and FineWeb's verdicts beside datatrove and plain Python, on one core, on real English.

`python -m tests.benchmarks.verdicts FOLDER PEER_PYTHON [DOCUMENTS]` prints JSON; PEER_PYTHON is the
interpreter of an environment that has datatrove[processing] and spacy.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import bytes_of
from corpusmill.tasks.ingestion.batches import DocumentBatch, make_batch
from corpusmill.tasks.ingestion.cleaning import reference
from corpusmill.tasks.ingestion.cleaning.rules import QualityFilter
from corpusmill.tasks.ingestion.cleaning.thresholds import KEPT, REASONS
from tests.benchmarks.text import real_documents

_RULES = (reference.gopher_quality, reference.gopher_repetition, reference.fineweb_quality)
_RUNS = 5


def main(folder: Path, peer_python: str, number: int) -> dict[str, Any]:
    """Speeds in documents a second, and the shares of documents with the same verdict."""
    documents = [text for text in real_documents(folder) if len(text.encode()) < 1.1 * len(text)]
    random.Random(0).shuffle(documents)
    documents = documents[:number]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "documents.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
        before = ours(path)
        command = [peer_python, str(Path(__file__).with_name("verdicts_peer.py")), str(path)]
        peer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        after = ours(path)
    begin = time.perf_counter()
    plain = [reference.judge(reference.Document(text, True, True), _RULES) for text in documents]
    plain_seconds = time.perf_counter() - begin
    verdicts = np.array(before["verdicts"])
    kept = np.array([verdict == "kept" for verdict in peer["verdicts"]])
    rates = sorted([*before["rates"], *after["rates"]])
    return {
        "documents": len(documents),
        "megabytes": before["bytes"] / 1e6,
        "documents_per_second": {
            "ours": rates[len(rates) // 2],
            "ours_range": [rates[0], rates[-1]],
            "plain_python": len(documents) / plain_seconds,
            "datatrove": len(documents) / peer["seconds"],
        },
        "ratio_to_datatrove": rates[len(rates) // 2] * peer["seconds"] / len(documents),
        "agreement_with_plain_python": float((verdicts == np.array(plain)).mean()),
        "agreement_with_datatrove": float(((verdicts == KEPT) == kept).mean()),
        "reasons": dict(Counter(REASONS[verdict] for verdict in verdicts.tolist()).most_common()),
        "reasons_of_datatrove": dict(Counter(peer["verdicts"]).most_common()),
    }


def ours(path: Path) -> dict[str, Any]:
    """Verdicts as indices into REASONS, and the speed of each of some runs over the documents."""
    batch = _read(path)
    rules = QualityFilter(quality=True, repetition=True, fineweb=True, marks=True)
    rules.judge(make_batch("", "", batch.texts[:2], "line", [0, 1]))
    rates = []
    for _ in range(_RUNS):
        begin = time.perf_counter()
        verdicts = rules.judge(batch)
        rates.append(len(batch) / (time.perf_counter() - begin))
    return {"verdicts": verdicts.tolist(), "rates": rates, "bytes": len(bytes_of(batch.texts))}


def _read(path: Path) -> DocumentBatch:
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return make_batch("", "", pa.array(texts, pa.large_string()), "line", range(len(texts)))


if __name__ == "__main__":
    number = int(sys.argv[3]) if len(sys.argv) > 3 else 3000
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], number), indent=1))
