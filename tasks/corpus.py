"""Ingestion: sources in, a corpus artifact out, and a table of what was dropped and why."""

import json
from collections import defaultdict
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from storage.artifacts import Ref, read_manifest
from storage.corpus.documents import build_corpus, select_unseen
from storage.layout import Layout
from storage.corpus.sources import CorpusConfig


@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE)
def ingest(layout: Layout, config: CorpusConfig) -> Ref:
    """Reads the sources into a corpus, or finds the one made of the same bytes before."""
    corpus, reused = build_corpus(layout, config)
    _report(corpus, reused)
    return corpus


@task(name="select-new-documents", task_run_name="select-new-documents", cache_policy=NO_CACHE)
def select_new(layout: Layout, corpus: Ref, seen: Ref) -> Ref:
    """The documents of `corpus` that the registered model has not met."""
    new, reused = select_unseen(layout, corpus, seen)
    _report(new, reused)
    return new


def _report(corpus: Ref, reused: bool) -> None:
    counts = read_manifest(corpus.path)["counts"]
    documents, train, held_out = counts["documents"], counts["train"], counts["validation"]
    get_run_logger().info(
        "corpus %s: %s documents in, %s kept (%s held out), %s dropped, %.1f MB%s",
        corpus.digest[:12],
        f"{documents['in']:,}",
        f"{documents['kept']:,}",
        f"{held_out['documents']:,}",
        f"{documents['in'] - documents['kept']:,}",
        (train["bytes"] + held_out["bytes"]) / 1e6,
        " - reused" if reused else "",
    )
    create_table_artifact(
        key="corpus",
        table=_table(corpus, documents, train, held_out),
        description=f"Corpus `{corpus.digest}`: documents in = kept + dropped by reason.",
    )


def _table(
    corpus: Ref, documents: dict[str, Any], train: dict[str, int], held_out: dict[str, int]
) -> list[dict[str, Any]]:
    samples: dict[str, list[str]] = defaultdict(list)
    for line in (corpus.path / "dropped.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        samples[sample["reason"]].append(f"{sample['source']} {sample['place']}".strip())
    rows = [
        {"documents": "in", "count": documents["in"], "bytes": "", "examples": ""},
        _kept("kept for training", train),
        _kept("kept, held out", held_out),
    ]
    for reason, count in sorted(documents["dropped"].items()):
        rows.append(
            {
                "documents": f"dropped: {reason}",
                "count": count,
                "bytes": "",
                "examples": "; ".join(samples[reason][:3]),
            }
        )
    if not documents["dropped"]:
        rows.append({"documents": "dropped", "count": 0, "bytes": "", "examples": ""})
    return rows


def _kept(name: str, side: dict[str, int]) -> dict[str, Any]:
    return {"documents": name, "count": side["documents"], "bytes": side["bytes"], "examples": ""}
