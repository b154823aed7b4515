"""The whole data pipeline through Prefect: text files in, token shards out; time and memory.

`python -m tests.benchmarks.pipeline FOLDER` prints one line of JSON.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect import flow, get_client, runtime
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.testing.utilities import prefect_test_harness

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import load_settings
from corpusmill.tasks.corpus import ingest
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.shards import make_shards
from corpusmill.tasks.tokenizer import make_tokenizer

CLEANING = CleaningConfig(
    gopher_quality=True,
    gopher_repetition=True,
    fineweb_quality=True,
    mask_pii=True,
)


@dataclass
class Watch:
    """What the processes of a run took.

    Attributes:
        peak: greatest memory of this process and those it started, in bytes (PSS: a page that
            several share counts once).
        stages: seconds of each stage.
    """

    peak: int = 0
    stages: dict[str, float] = field(default_factory=dict)


@contextmanager
def watched() -> Iterator[Watch]:
    """Measures the memory of this process tree, but for the Prefect server, every half second."""
    watch, over = Watch(), threading.Event()

    def measure() -> None:
        while not over.wait(0.5):
            watch.peak = max(watch.peak, _memory())

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def run(folder: Path, home: Path) -> dict[str, Any]:
    """Cleans, tokenizes and shards every file of a folder; returns what it took."""
    layout, settings = Layout(home), load_settings()
    config = CorpusConfig(sources=(str(folder),), cleaning=CLEANING)
    counts: dict[str, Any] = {}

    @flow(name="data-pipeline")
    def pipeline(watch: Watch) -> str:
        began = time.perf_counter()
        corpus = ingest(settings, layout, config)
        watch.stages["ingest"] = time.perf_counter() - began
        tokenizer = make_tokenizer(layout, corpus, TokenizerConfig(vocab_size=32768))
        watch.stages["tokenizer"] = time.perf_counter() - began - watch.stages["ingest"]
        shards = make_shards(settings, layout, corpus, tokenizer, held_out=corpus)
        watch.stages["shards"] = time.perf_counter() - began - sum(watch.stages.values())
        counts["documents"] = read_manifest(corpus.path)["counts"]["documents"]
        counts["tokens"] = read_manifest(shards.path)["counts"]["train"]["tokens"]
        return str(runtime.flow_run.id)

    began = time.perf_counter()
    with watched() as watch:
        flow_run = pipeline(watch)
    seconds = time.perf_counter() - began
    return {
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "seconds": round(seconds, 1),
        "stages": {name: round(value, 1) for name, value in watch.stages.items()},
        "in_tasks": round(_seconds_in_tasks(flow_run), 1),
        "peak_bytes": watch.peak,
        **counts,
    }


def _seconds_in_tasks(flow_run: str) -> float:
    """Wall time during which at least one task of the flow run was running."""
    found = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=found, limit=200)
    spans = sorted((r.start_time, r.end_time) for r in runs if r.start_time and r.end_time)
    total, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        if end > begin:
            total += (end - begin).total_seconds()
        until = end if until is None else max(until, end)
    return total


def _memory() -> int:
    me = psutil.Process()
    total = 0
    for process in [me, *me.children(recursive=True)]:
        try:
            if "uvicorn" not in " ".join(process.cmdline()):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    with tempfile.TemporaryDirectory() as scratch, prefect_test_harness():
        print(json.dumps(run(Path(sys.argv[1]), Path(scratch))))
