"""Ingestion: sources in, a corpus artifact out, and a table of what was dropped and why."""

from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from storage.artifacts import Ref, discard
from storage.corpus.building import CorpusPlan, build_corpus, plan_corpus
from storage.corpus.config import CorpusConfig
from storage.corpus.groups import Group
from storage.corpus.parts import make_part
from storage.corpus.unseen import select_unseen
from storage.errors import ArtifactError
from storage.layout import Layout
from storage.manifest import MANIFEST, read_manifest
from storage.settings import Settings
from tasks.corpus_report.findings import read_samples
from tasks.corpus_report.words import counted
from tasks.mapping import map_groups
from tasks.retries import can_be_retried


def ingest(settings: Settings, layout: Layout, config: CorpusConfig) -> Ref:
    """Reads the sources into a corpus, or finds the one made of the same bytes before."""
    plan = find_sources(layout, config)
    if plan.corpus:
        return plan.corpus
    calls = [{"layout": layout, "group": group, "config": config} for group in plan.groups]
    sizes = [group.size for group in plan.groups]
    while True:
        parts = map_groups(settings, clean, calls, sizes, "clean")
        corpus = merge(layout, plan, config, parts)
        if corpus:
            return corpus
        get_run_logger().warning("another flow took in some of these parts; making them again")


@task(
    name="find-sources",
    task_run_name="find-sources",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=10,
    retry_condition_fn=can_be_retried,
)
def find_sources(layout: Layout, config: CorpusConfig) -> CorpusPlan:
    """Finds, fetches and digests the sources, and the corpus that was made of them before."""
    plan = plan_corpus(layout, config)
    files = sum(len(source.files) for source in plan.sources)
    size = sum(file.size for source in plan.sources for file in source.files)
    get_run_logger().info(
        "%s, %.1f MB, from %s, in %s",
        counted(files, "file"),
        size / 1e6,
        counted(len(plan.sources), "source"),
        counted(len(plan.groups), "group"),
    )
    if plan.corpus:
        _report(plan.corpus, reused=True)
    return plan


@task(
    name="clean",
    task_run_name="clean-{group.number}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_condition_fn=can_be_retried,
)
def clean(layout: Layout, group: Group, config: CorpusConfig) -> Ref:
    """Reads, cleans and signs one group of documents."""
    return make_part(layout, group, config)


@task(
    name="merge",
    task_run_name="merge",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def merge(layout: Layout, plan: CorpusPlan, config: CorpusConfig, parts: list[Ref]) -> Ref | None:
    """Drops duplicates across all parts, chooses sides and writes the corpus.

    Returns:
        The corpus, or None where parts are gone because another flow has taken them in.
    """
    try:
        corpus = build_corpus(layout, plan.sources, config, parts)
    except (ArtifactError, FileNotFoundError):
        if all((part.path / MANIFEST).exists() for part in parts):
            raise
        return None
    for part in parts:
        discard(part)
    _report(corpus, reused=False)
    return corpus


@task(
    name="select-new-documents",
    task_run_name="select-new-documents",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
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
    samples = read_samples(corpus.path)
    rows = [
        {"documents": "in", "count": documents["in"], "bytes": "", "examples": ""},
        _kept("kept for training", train),
        _kept("kept, held out", held_out),
    ]
    for reason, count in sorted(documents["dropped"].items()):
        some = samples.get(reason, [])[:3]
        rows.append(
            {
                "documents": f"dropped: {reason}",
                "count": count,
                "bytes": "",
                "examples": "; ".join(f"{each['file']} {each['place']}".strip() for each in some),
            }
        )
    if not documents["dropped"]:
        rows.append({"documents": "dropped", "count": 0, "bytes": "", "examples": ""})
    return rows


def _kept(name: str, side: dict[str, int]) -> dict[str, Any]:
    return {"documents": name, "count": side["documents"], "bytes": side["bytes"], "examples": ""}
