"""Ingestion: sources in, a corpus artifact out, and a table of what was dropped and why."""

from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text
from corpusmill.storage.settings import Settings
from corpusmill.tasks.ingestion.building import CorpusPlan, plan_corpus
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.partitions import FilePartition
from corpusmill.tasks.ingestion.parts import make_part
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.mapping import map_partitions
from corpusmill.tasks.reports.corpus.findings import Findings, gather
from corpusmill.tasks.reports.corpus.words import counted, language, unread_sentence
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.corpus import join_parts


def ingest(settings: Settings, layout: Layout, config: CorpusConfig) -> Ref:
    """Reads the sources into a corpus, or reuses the one made of the same bytes before."""
    return make_corpus(settings, layout, find_sources(layout, config), config)


def make_corpus(settings: Settings, layout: Layout, plan: CorpusPlan, config: CorpusConfig) -> Ref:
    """Makes the corpus of a plan, partition by partition."""
    if plan.corpus:
        return plan.corpus
    calls = [
        {"layout": layout, "partition": partition, "config": config}
        for partition in plan.partitions
    ]
    sizes = [partition.size for partition in plan.partitions]
    while True:
        parts = map_partitions(settings, clean, calls, sizes, "clean")
        corpus = merge(layout, plan, config, parts)
        if corpus:
            return corpus


@stage("find-sources", retries=3, delay=10)
def find_sources(layout: Layout, config: CorpusConfig, past: Past | None = None) -> CorpusPlan:
    """Finds, fetches and digests the sources, and the corpus that was made of them before.

    Args:
        past: of a night, which reads only files that were not met.
    """
    plan = plan_corpus(layout, config, past)
    files = sum(len(source.files) for source in plan.sources)
    get_run_logger().info(
        "%s%s, %.1f MB, from %s%s",
        counted(files, "file"),
        " not met before" if past else "",
        plan.bytes / 1e6,
        counted(len(plan.sources), "source"),
        "" if plan.corpus else f", in {counted(len(plan.partitions), 'partition')}",
    )
    if plan.corpus:
        _report(plan.corpus, reused=True)
    return plan


@stage("clean", "clean-{partition.number}", delay=0)
def clean(layout: Layout, partition: FilePartition, config: CorpusConfig) -> Ref:
    """Reads and cleans one partition of files and hashes its MinHash bands."""
    return make_part(layout, partition, config)


@stage("merge")
def merge(layout: Layout, plan: CorpusPlan, config: CorpusConfig, parts: list[Ref]) -> Ref | None:
    """Drops duplicates across all parts, splits the documents and writes the corpus.

    Returns:
        The corpus, or None if parts are gone because another flow has merged them.
    """
    corpus = join_parts(layout, plan, config, parts)
    if corpus:
        _report(corpus, reused=False)
    return corpus


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
    findings = gather(corpus.path, None, None)
    _warn(findings, counts)
    create_table_artifact(
        key="corpus",
        table=_table(findings, counts),
        description=f"Corpus `{corpus.digest}`: documents in = kept + dropped by reason.",
    )


def _warn(findings: Findings, counts: dict[str, Any]) -> None:
    """Says which files could not be read, and of which sources and languages nothing was kept."""
    logger = get_run_logger()
    unread = counts.get("unread", {"files": []})
    for each in unread["files"]:
        logger.warning("%s of %s: %s", each["file"], each["source"], unread_sentence(each))
    if unread["files"]:
        logger.warning(
            "%s and %s of all files together could not be read; the corpus report names them",
            counted(unread["documents"], "document"),
            counted(unread["bytes"], "byte"),
        )
    for name, why in findings.empty.items():
        logger.warning("the source %s gave nothing: %s", name, why)
    for code, why in findings.lost_languages.items():
        logger.warning(
            "nothing in %s was kept (%s); look at samples of it in the corpus report, and switch "
            "off what does not suit the language",
            language(code),
            why,
        )


def _table(findings: Findings, counts: dict[str, Any]) -> list[dict[str, Any]]:
    documents, amounts = counts["documents"], counts.get("bytes", {})
    rows = [
        _row("in", documents["in"], amounts.get("in", "")),
        _row("kept for training", *_side(counts["train"])),
        _row("kept, held out", *_side(counts["validation"])),
    ]
    for reason, count in sorted(documents["dropped"].items()):
        some = findings.samples.get(reason, [])[:3]
        places = as_text("; ".join(f"{each['file']} {each['place']}".strip() for each in some))
        size = amounts.get("dropped", {}).get(reason, "")
        rows.append(_row(f"dropped: {reason}", count, size, places))
    if not documents["dropped"]:
        rows.append(_row("dropped", 0))
    for each in counts.get("unread", {"files": []})["files"]:
        name = as_text(f"not read: {each['file']} of {each['source']}")
        why = as_text(unread_sentence(each))
        rows.append(_row(name, each["documents"], each["bytes"], why))
    for name, why in findings.empty.items():
        rows.append(_row(f"nothing from {as_text(name)}", 0, 0, as_text(why)))
    lost = findings.lost_languages
    return rows + [
        _row(f"nothing in {as_text(language(code))}", 0, 0, as_text(why))
        for code, why in lost.items()
    ]


def _row(name: str, count: int, size: int | str = "", examples: str = "") -> dict[str, Any]:
    return {"documents": name, "count": count, "bytes": size, "examples": examples}


def _side(counts: dict[str, int]) -> tuple[int, int]:
    return counts["documents"], counts["bytes"]
