"""What registered versions need of the store: to go on from, to be judged against and to answer."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.model.training.job import moments_spec
from corpusmill.storage.artifacts import folder_digest
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST, read_manifest
from corpusmill.storage.memory import read_segments
from corpusmill.storage.versions import (
    CANDIDATE,
    CHAMPION,
    DIGEST,
    EXAMPLES,
    MEMORY,
    PREVIOUS,
    RegisteredModel,
)

# By kind and digest.
Name = tuple[str, str]
_AT_HAND = frozenset({CANDIDATE, CHAMPION, PREVIOUS})


@dataclass(frozen=True)
class Needs:
    """What versions need.

    Attributes:
        required: artifacts without which a version cannot be gone on from or compared with, each
            with the first version that says so; some may be missing.
        useful: artifacts that are there, and save work with what is required.
        unknown: kinds of which more may be needed, for what would name it cannot be read; each
            with a sentence.
    """

    required: Mapping[Name, str]
    useful: frozenset[Name]
    unknown: Mapping[str, str]

    def keep(self, kind: str, digest: str) -> bool:
        """Whether an artifact must stay."""
        name = (kind, digest)
        return name in self.required or name in self.useful or kind in self.unknown


def needs_of(layout: Layout, versions: Sequence[RegisteredModel]) -> Needs:
    """What these versions, which are all that there are, need of this store.

    Each needs what its line has met: its memory, and the shards and held-out text that this names.
    One registered by a release without memories needs the corpora that say the same, and their
    shards. Those with an alias need their models too, and what these were judged by.
    """
    finding = _required(layout, versions)
    shown = [each for each in versions if DIGEST in each.tags and _AT_HAND & each.aliases]
    useful = {name for each in shown for name in _models(layout, each)}
    useful |= _tokenizers(layout, [*finding.required, *useful])
    useful |= _figures(layout, {content for each in shown for content in _contents(layout, each)})
    return Needs(finding.required, frozenset(useful), finding.unknown)


def needed_by(layout: Layout, versions: Sequence[RegisteredModel]) -> Mapping[Name, list[str]]:
    """Of each artifact that is required, all versions that cannot be gone on from without it."""
    found: dict[Name, list[str]] = {}
    for version in versions:
        for name in _required(layout, [version]).required:
            found.setdefault(name, []).append(version.uri)
    return found


def _required(layout: Layout, versions: Sequence[RegisteredModel]) -> "_Finding":
    """What is required by those versions that are ours."""
    finding = _Finding(layout)
    for version in versions:
        if DIGEST not in version.tags:
            continue
        if examples := version.tags.get(EXAMPLES):
            finding.required.setdefault(("examples", examples), version.uri)
        elif memory := version.tags.get(MEMORY):
            finding.follow_memory(memory, version.uri)
        else:
            finding.follow_corpora(version)
    return finding


class _Finding:
    """Collects what is required, version by version."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.required: dict[Name, str] = {}
        self.unknown: dict[str, str] = {}

    def follow_memory(self, digest: str, uri: str) -> None:
        """Adds a memory and what its segments name."""
        if ("memory", digest) in self.required:
            return
        self.required["memory", digest] = uri
        try:
            segments = read_segments(self._layout.artifact("memory", digest))
        except ArtifactError as error:
            self._leave_open(("memory", "shards", "held_out"), uri, error)
            return
        for each in segments:
            self.required.setdefault(("shards", each.shards), uri)
            self.required.setdefault(("held_out", each.held_out), uri)

    def follow_corpora(self, version: RegisteredModel) -> None:
        """Adds the corpora of a line without a memory, their shards, and what it was judged by."""
        chain: list[str] = []
        digest = version.tags.get("corpus")
        while digest and digest not in chain:
            chain.append(digest)
            self.required.setdefault(("corpus", digest), version.uri)
            try:
                digest = read_manifest(self._layout.artifact("corpus", digest))["inputs"].get(
                    "seen"
                )
            except ArtifactError as error:
                self._leave_open(("corpus", "shards"), version.uri, error)
                break
        if judged := version.tags.get("held_out"):
            self.required.setdefault(("corpus", judged), version.uri)
        for name, manifest in manifests(self._layout, "shards"):
            if manifest["inputs"].get("corpus") in chain:
                self.required.setdefault(("shards", name), version.uri)

    def _leave_open(self, kinds: Sequence[str], uri: str, error: ArtifactError) -> None:
        for kind in kinds:
            said = f"all of {kind} stay, for what {uri} needs of them cannot be read: {error}"
            self.unknown.setdefault(kind, said)


def manifests(layout: Layout, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Digest and manifest of each artifact of a kind whose manifest can be read."""
    for path in sorted(layout.artifacts(kind).glob(f"*/{MANIFEST}")):
        try:
            yield path.parent.name, read_manifest(path.parent)
        except ArtifactError:
            continue


def _models(layout: Layout, version: RegisteredModel) -> Iterator[Name]:
    """The model of a version as it was trained here, or as it was fetched where it was not, and
    what its run has left beside it.
    """
    moments = moments_spec(version.digest).digest
    if (layout.artifact("moments", moments) / MANIFEST).exists():
        yield "moments", moments
    trained = layout.artifact("model", version.digest)
    if (trained / MANIFEST).exists():
        yield "model", version.digest
        if version.content and _content(trained) == version.content:
            return
    for name, manifest in manifests(layout, "registered"):
        if manifest["inputs"].get("model") == version.digest:
            yield "registered", name


def _contents(layout: Layout, version: RegisteredModel) -> Iterator[str]:
    """Digests of the bytes of a version's model."""
    if version.content:
        yield version.content
        return
    for kind, digest in _models(layout, version):
        if content := _content(layout.artifact(kind, digest)):
            yield content


def _tokenizers(layout: Layout, readers: Sequence[Name]) -> set[Name]:
    """The tokenizers with which shards and models were made."""
    paths = [layout.artifact(*name) for name in readers]
    wanted = {digest for path in paths if (digest := _inputs(path).get("tokenizer"))}
    return {
        ("tokenizer", name)
        for name, _ in manifests(layout, "tokenizer")
        if _content(layout.artifact("tokenizer", name)) in wanted
    }


def _figures(layout: Layout, models: Collection[str]) -> set[Name]:
    """Evaluations of models, by digests of their bytes, and what else is known of the same."""
    kept: set[Name] = set()
    judged: set[str] = set()
    for name, manifest in manifests(layout, "evaluation"):
        if manifest["inputs"].get("model") in models:
            kept.add(("evaluation", name))
            judged |= set(manifest["inputs"].values())
    for kind in ("compression", "contamination"):
        for name, manifest in manifests(layout, kind):
            if judged & set(manifest["inputs"].values()):
                kept.add((kind, name))
    return kept


def _inputs(path: Path) -> Mapping[str, str]:
    try:
        inputs: Mapping[str, str] = read_manifest(path)["inputs"]
    except ArtifactError:
        return {}
    return inputs


def _content(path: Path) -> str | None:
    try:
        return folder_digest(path) if (path / MANIFEST).exists() else None
    except ArtifactError:
        return None
