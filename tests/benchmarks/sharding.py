"""JSON Lines to Arrow, and text to shards, the whole stages, beside `datasets`.

`python -m tests.benchmarks.sharding FOLDER PEER_PYTHON [MEGABYTES]` prints JSON; the two take
turns. Text to shards is the stage of the flow, through Prefect, with files synced and digested.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import load_settings
from corpusmill.storage.shards.reading import TokenStream
from corpusmill.tasks.corpus import ingest
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.shards import make_shards
from corpusmill.tasks.tokenizer import make_tokenizer
from tests.benchmarks.reading import measure
from tests.benchmarks.text import documents, write_files

_RUNS = 3
_READ_MEGABYTES = 120


def main(folder: Path, peer_python: str, megabytes: int) -> dict[str, Any]:
    """Both stages, beside the peer."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        [path, *_] = write_files(documents(folder, _READ_MEGABYTES * 10**6), root / "read")
        reading = _read(path, peer_python)
        write_files(documents(folder, megabytes * 10**6), root / "text")
        return {"read": reading, "shard": _shard(root, peer_python)}


def _read(path: Path, peer_python: str) -> dict[str, Any]:
    megabytes = path.stat().st_size / 1e6
    ours, theirs = [], []
    for _ in range(_RUNS):
        ours.append(measure(path))
        theirs.append(megabytes / _peer(peer_python, "read", str(path))["seconds"])
    return {"megabytes": round(megabytes), "ours": ours, "datasets": theirs}


def _shard(root: Path, peer_python: str) -> dict[str, Any]:
    layout, settings = Layout(root / "home"), load_settings()
    config = CorpusConfig(
        sources=(str(root / "text"),), cleaning=CleaningConfig(near_duplicates="off")
    )

    @flow(name="prepare")
    def prepare() -> tuple[Ref, Ref]:
        corpus = ingest(settings, layout, config)
        wanted = TokenizerConfig(vocab_size=32768, sample_bytes=30_000_000)
        return corpus, make_tokenizer(layout, corpus, wanted)

    @flow(name="shard")
    def shard(corpus: Ref, tokenizer: Ref) -> tuple[float, Ref]:
        began = time.perf_counter()
        shards = make_shards(settings, layout, corpus, tokenizer, held_out=corpus)
        return time.perf_counter() - began, shards

    corpus, tokenizer = prepare()
    ours, theirs = [], []
    for _ in range(_RUNS):
        seconds, shards = shard(corpus, tokenizer)
        stream = TokenStream(shards.path, "train")
        ids = hashlib.sha256(stream.read(0, len(stream)).tobytes()).hexdigest()
        tokens = len(stream)
        discard(shards)
        arrow = str(corpus.path / "train.arrow")
        peer = _peer(peer_python, "shard", arrow, str(tokenizer.path))
        assert (peer["tokens"], peer["digest"]) == (tokens, ids), "the ids differ"
        ours.append(tokens / seconds / 1e6)
        theirs.append(tokens / peer["seconds"] / 1e6)
    return {"tokens": tokens, "ours": ours, "datasets.map": theirs, "identical": True}


def _peer(python: str, *arguments: str) -> dict[str, Any]:
    script = str(Path(__file__).with_name("datasets_peers.py"))
    done = subprocess.run([python, script, *arguments], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 450
    with prefect_test_harness():
        print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], size), indent=1))
