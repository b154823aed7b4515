"""The family tree of a version: what each of its line was made of, down to files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.examples.schema import SIDES
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Ledger
from corpusmill.storage.manifest import MANIFEST, read_manifest
from corpusmill.storage.memory import MetFile, Segment, files_path, read_files, read_segments
from corpusmill.storage.versions import (
    CHAMPION,
    CONTINUED_FROM,
    DIGEST,
    EXAMPLES,
    MEMORY,
    STARTED_FROM,
    RegisteredModel,
    RunRecord,
)

_DAMAGED = "its memory is damaged: `make verify`"
# What the inputs of a run, where they are not those of before, were to its version.
_ROLES = {"initialize_from": "initialized from", "shards": "trained on", "corpus": "read from"}


@dataclass(frozen=True)
class Material:
    """An artifact that belongs to a version.

    Attributes:
        role: what it was to the version.
        kind: of artifact; None where the store has it no more.
        said: what its manifest says of it.
    """

    role: str
    digest: str
    kind: str | None
    said: str


@dataclass(frozen=True)
class ExampleFile:
    """A file of labelled examples.

    Attributes:
        side: that its examples were given for, or were cut off from.
        path: where it lay on the machine that read it, in words.
        size: bytes.
        sha256: of its bytes, in hex.
    """

    side: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Generation:
    """One version of a line, and what it was the first to learn.

    Attributes:
        version: None where the registry has it no more, and a memory says what it has met.
        record: how it was made; None where its run is gone from MLflow.
        rejected: whether it was refused, or rolled back, and its text not released since; the
            champion is not, which a person may have made it by hand.
        documents: how many it has met; None where no memory says so.
        files: that it has met; None where they are not known by name.
        unknown: why they are not, in words; None where they are.
        examples: files of the labelled examples that it was taught; None of a language model.
    """

    version: RegisteredModel | None
    record: RunRecord | None
    rejected: bool
    materials: tuple[Material, ...]
    documents: int | None
    files: tuple[MetFile, ...] | None
    unknown: str | None
    examples: tuple[ExampleFile, ...] | None = None


@dataclass(frozen=True)
class Lesson:
    """What a line has learned at once.

    Attributes:
        corpus: digest of its corpus.
        documents: that were met.
        files: where their names are known.
    """

    corpus: str
    documents: int
    files: tuple[MetFile, ...] | None


def lessons_of(memory: Path) -> list[Lesson]:
    """All that a line has learned, the newest first.

    Raises:
        ArtifactError: its memory cannot be read.
    """
    return [
        Lesson(each.corpus, each.documents, _files(memory, each)[0])
        for each in reversed(read_segments(memory))
    ]


def lineage_of(
    layout: Layout,
    versions: Sequence[RegisteredModel],
    wanted: RegisteredModel,
    record_of: Callable[[RegisteredModel], RunRecord | None],
) -> list[Generation]:
    """The generations of a version, itself first, each followed by the one it went on from.

    One that answers with labels is followed by the version that it started from, and those before.

    Args:
        versions: all that there are, with their aliases.
        record_of: says how a version was made.
    """
    if EXAMPLES in wanted.tags:
        taught = _taught(layout, wanted, record_of(wanted))
        start = start_of(versions, wanted)
        return [taught, *(lineage_of(layout, versions, start, record_of) if start else ())]
    line = _line(versions, wanted)
    segments = _segments(layout, line)
    rejected = {each.version for each in Ledger(layout, wanted.name).read().rejected}
    generations = []
    for version in line:
        found = segments.pop(version.tags.get("corpus", ""), None)
        segment = found[1] if found else None
        files, unknown = _files(*found) if found else (None, _why_unknown(layout, version))
        record = record_of(version)
        generations.append(
            Generation(
                version,
                record,
                version.version in rejected and CHAMPION not in version.aliases,
                tuple(_materials(layout, version, record, segment)),
                segment.documents if segment else None,
                files,
                unknown,
            )
        )
    for folder, segment in reversed(segments.values()):
        names = _named_by(segment)
        materials = tuple(material_of(layout, *each) for each in names.items())
        met = (segment.documents, *_files(folder, segment))
        generations.append(Generation(None, None, False, materials, *met))
    return generations


def _taught(layout: Layout, version: RegisteredModel, record: RunRecord | None) -> Generation:
    """A version that answers with labels, without what it started from."""
    found = tuple(_materials(layout, version, record, None))
    files = examples_files(layout, version.tag(EXAMPLES))
    why = None if files else "the examples are no longer in the store, or of an older release"
    return Generation(version, record, False, found, None, None, why, files)


def examples_files(layout: Layout, digest: str) -> tuple[ExampleFile, ...]:
    """The files that labelled examples were read from; none where nothing says so any more."""
    try:
        told = read_manifest(layout.artifact("examples", digest))["counts"].get("files", ())
    except ArtifactError:
        return ()
    names = ("side", "path", "size", "sha256")
    return tuple(ExampleFile(*(each[name] for name in names)) for each in told)


def start_of(
    versions: Sequence[RegisteredModel], version: RegisteredModel
) -> RegisteredModel | None:
    """What one that answers with labels was started from; None if it was a folder, or is gone."""
    named = version.tags.get(STARTED_FROM, "")
    # A version is younger than what it started from: there are no circles.
    return next((each for each in versions if each.uri == named), None)


def material_of(layout: Layout, role: str, digest: str) -> Material:
    """The artifact with a digest, of whatever kind it is."""
    for kind in layout.kinds():
        path = layout.artifact(kind, digest)
        try:
            manifest = read_manifest(path) if (path / MANIFEST).exists() else None
        except ArtifactError as error:
            return Material(role, digest, kind, f"damaged: {error}")
        if manifest:
            return Material(role, digest, kind, in_short(manifest))
    return Material(role, digest, None, "no longer in the store")


def in_short(manifest: Mapping[str, Any]) -> str:
    """What a manifest says of its artifact: when it was made, and how much it holds."""
    size = sum(each["size"] for each in manifest["files"])
    said = [f"{manifest['kind']} of {manifest['created'][:10]}", f"{size:,} bytes"]
    counts = manifest["counts"]
    if "documents" in counts:
        said.append(f"{counts['documents']['kept']:,} documents")
    train = counts.get("train")
    if isinstance(train, Mapping) and "tokens" in train:
        said.append(f"{train['tokens']:,} tokens")
    if isinstance(train, Mapping) and "kept" in train:
        sides = [f"{counts[side]['kept']:,} {side}" for side in SIDES]
        said.append(f"{', '.join(sides)} of {counts['kind']}")
    return ", ".join(said)


def _line(versions: Sequence[RegisteredModel], wanted: RegisteredModel) -> list[RegisteredModel]:
    """A version and those it goes back to, as far as the registry has them."""
    there = {each.version: each for each in versions if each.name == wanted.name}
    line = [there.pop(wanted.version, wanted)]
    while before := there.pop(line[-1].tags.get(CONTINUED_FROM, ""), None):
        line.append(before)
    return line


def _segments(layout: Layout, line: Sequence[RegisteredModel]) -> dict[str, tuple[Path, Segment]]:
    """What the line has met, by digest of the corpus, with the folder of its memory; oldest first.

    The newest memory that can be read has all of it.
    """
    for version in line:
        folder = layout.artifact("memory", version.tags.get(MEMORY, ""))
        try:
            return {each.corpus: (folder, each) for each in read_segments(folder)}
        except ArtifactError:
            continue
    return {}


def _files(folder: Path, segment: Segment) -> tuple[tuple[MetFile, ...] | None, str | None]:
    """The files of a segment; or None, and why they are not known."""
    try:
        files = read_files(files_path(folder, segment.name))
    except ArtifactError:
        return None, _DAMAGED
    if files is None:
        return None, "an older release kept no names"
    if not files and segment.documents:
        # `recall` has made it, of the corpora.
        return None, "an older release registered it without a memory"
    return tuple(files), None


def _why_unknown(layout: Layout, version: RegisteredModel) -> str:
    """Why no memory says what a version was the first to meet."""
    if MEMORY not in version.tags:
        return "an older release registered it without a memory"
    folder = layout.artifact("memory", version.tags[MEMORY])
    if not folder.exists():
        return "its memory is no longer in the store"
    try:
        read_segments(folder)
    except ArtifactError:
        return _DAMAGED
    return "its memory has nothing of its corpus"


def _materials(
    layout: Layout,
    version: RegisteredModel,
    record: RunRecord | None,
    segment: Segment | None,
) -> Iterator[Material]:
    """What belongs to a version, each digest once."""
    inputs = record.inputs if record else {}
    named = {
        "model": version.tags.get(DIGEST),
        "memory": version.tags.get(MEMORY),
        "corpus": version.tags.get("corpus"),
        **_named_by(segment),
        "judged by": version.tags.get("held_out"),
        "examples": version.tags.get(EXAMPLES),
        **{_ROLES.get(name, name): digest for name, digest in inputs.items()},
    }
    seen = set[str]()
    for role, digest in named.items():
        if digest and digest not in seen:
            seen.add(digest)
            found = material_of(layout, role, digest)
            if role == "model" and found.kind is None:
                found = replace(found, said=f"{found.said}; MLflow has its files")
            yield found


def _named_by(segment: Segment | None) -> dict[str, str]:
    if segment is None:
        return {}
    return {"corpus": segment.corpus, "shards": segment.shards, "held out": segment.held_out}
