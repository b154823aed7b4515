"""The lineage of a version as a terminal and as JSON show it."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from corpusmill.storage.memory import MetFile
from corpusmill.storage.versions import (
    CONTENT,
    CONTINUED_FROM,
    DIGEST,
    EXAMPLES,
    MEMORY,
    REPLACED,
    RUN,
    STARTED_FROM,
    RegisteredModel,
)
from corpusmill.tasks.stages.lineage import Generation

_COLUMN = 20
# Tags that are shown as something else, or in other places.
_NO_FIGURES = {CONTENT, CONTINUED_FROM, DIGEST, MEMORY, REPLACED, RUN, "corpus", "held_out"}
_NO_FIGURES |= {"licences", "prefect.flow_run_url", EXAMPLES, STARTED_FROM}


def as_tree(generations: Sequence[Generation], limit: int | None) -> Iterator[str]:
    """The lines of a tree, the newest version at the top.

    Args:
        limit: how many files a source is shown with; None for all.
    """
    for number, each in enumerate(generations, 1):
        yield f"● {_title(each)}"
        bar = "│" if number < len(generations) else " "
        for name, said in _facts(each):
            yield f"{bar}   {name:<{_COLUMN}} {said}"
        files = _files_in_lines if each.examples is None else _examples_in_lines
        for line in files(each, limit):
            yield f"{bar}   {line}"


def as_values(generations: Sequence[Generation]) -> list[dict[str, Any]]:
    """The same as JSON values."""
    return [_values(each) for each in generations]


def figures_of(version: RegisteredModel) -> dict[str, str]:
    """The figures that a version was judged by, as its tags say."""
    return {
        name: said
        for name, said in version.tags.items()
        if name not in _NO_FIGURES and not name.startswith("mlflow.")
    }


def _title(generation: Generation) -> str:
    version = generation.version
    if version is None:
        return "a version that the registry has no more"
    standing = sorted(version.aliases) + ["refused or rolled back"] * generation.rejected
    before, start = version.tags.get(CONTINUED_FROM), version.tags.get(STARTED_FROM)
    return (
        f"{version.name} version {version.version}"
        + (f" ({', '.join(standing)})" if standing else "")
        + (f", continued from version {before}" if before else "")
        + (f", started from {start}" if start else "")
    )


def _facts(generation: Generation) -> Iterator[tuple[str, str]]:
    version, record = generation.version, generation.record
    if version and version.created:
        yield "registered", f"{version.created.astimezone():%Y-%m-%d %H:%M %Z}"
    if record:
        yield "run", f"{record.name}, {record.id} in MLflow"
        yield "recipe", str(record.config.get("recipe", "not known"))
        yield "config", record.config_digest or "of a release whose configs are not understood now"
    elif version:
        yield "run", "gone from MLflow"
    if version:
        yield from figures_of(version).items()
        if generation.examples is None:
            yield "licences", version.tags.get("licences") or "not known"
    for each in generation.materials:
        yield each.role, f"{each.digest}  {each.said}"


def _files_in_lines(generation: Generation, limit: int | None) -> Iterator[str]:
    files = generation.files
    if files is None:
        met = "" if generation.documents is None else f"{generation.documents:,} documents, "
        yield f"{'learned':<{_COLUMN}} {met}files not known: {generation.unknown}"
        return
    train, held_out = (sum(getattr(each, side) for each in files) for side in ("train", "held_out"))
    yield (
        f"{'learned':<{_COLUMN}} {train:,} documents, {held_out:,} held out, of {len(files):,} "
        f"files, {sum(each.size for each in files):,} bytes"
    )
    for (source, licence), group in groupby(files, lambda each: (each.source, each.licence)):
        some = list(group)
        yield f"  {source}, licence {licence}"
        for each in some[:limit]:
            yield (
                f"    {each.sha256}  {path_in_words(each)}  {each.size:,} bytes, "
                f"{each.train:,} learned, {each.held_out:,} held out"
                f"{', others wait' * each.waits}"
            )
        if limit is not None and len(some) > limit:
            yield f"    … and {len(some) - limit:,} more: --all shows them"


def _examples_in_lines(generation: Generation, limit: int | None) -> Iterator[str]:
    files = generation.examples or ()
    if generation.unknown:
        yield f"{'taught':<{_COLUMN}} files not known: {generation.unknown}"
        return
    size = sum(each.size for each in files)
    yield f"{'taught':<{_COLUMN}} examples of {len(files):,} files, {size:,} bytes"
    for each in files[:limit]:
        yield f"    {each.sha256}  {each.path}  {each.size:,} bytes, for {each.side}"
    if limit is not None and len(files) > limit:
        yield f"    … and {len(files) - limit:,} more: --all shows them"


def path_in_words(file: MetFile) -> str:
    """Where a file lay, in characters that UTF-8 has: a path may be any bytes."""
    return os.fsencode(file.path).decode("utf-8", "backslashreplace")


def _values(generation: Generation) -> dict[str, Any]:
    version, record = generation.version, generation.record
    return {
        "version": version.version if version else None,
        "aliases": sorted(version.aliases) if version else [],
        "registered": version.created.isoformat() if version and version.created else None,
        "continued_from": version.tags.get(CONTINUED_FROM) if version else None,
        "rejected": generation.rejected,
        "run": {"id": record.id, "name": record.name} if record else None,
        "recipe": record.config.get("recipe") if record else None,
        "config": record.config_digest if record else None,
        "figures": figures_of(version) if version else {},
        "licences": version.tags.get("licences") if version else None,
        "artifacts": [
            {"role": each.role, "digest": each.digest, "kind": each.kind, "said": each.said}
            for each in generation.materials
        ],
        "documents": generation.documents,
        "files": None
        if generation.files is None
        else [
            {
                "source": each.source,
                "licence": each.licence,
                "name": each.name,
                "path": path_in_words(each),
                "bytes": each.size,
                "sha256": each.sha256,
                "trained_on": each.train,
                "held_out": each.held_out,
                "waits": each.waits,
            }
            for each in generation.files
        ],
        "unknown": generation.unknown,
        "started_from": version.tags.get(STARTED_FROM) if version else None,
        "examples": None
        if generation.examples is None
        else [
            {"side": each.side, "path": each.path, "bytes": each.size, "sha256": each.sha256}
            for each in generation.examples
        ],
    }
