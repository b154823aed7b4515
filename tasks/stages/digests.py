"""What a digest stands for, wherever a person has met it: in a folder, a tag, a log, a ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.storage.artifacts import content_of
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Ledger
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.memory import (
    HELD_OUT,
    NEITHER,
    TRAIN,
    Segment,
    documents_path,
    files_path,
    read_files,
    read_met,
    read_segments,
)
from corpusmill.storage.versions import (
    CONTENT,
    DIGEST,
    EXAMPLES,
    MEMORY,
    RUN,
    RegisteredModel,
    RunRecord,
)
from corpusmill.tasks.stages.lineage import in_short
from corpusmill.tasks.stages.needs import manifests, needed_by, needs_of

_SIDES = {TRAIN: "trained on", HELD_OUT: "held out", NEITHER: "on neither side"}
# What tags with a digest say of their version.
_TAGS = {
    DIGEST: "the model of {}",
    CONTENT: "the bytes of the model of {}",
    MEMORY: "what the line of {} has met",
    "corpus": "the corpus that {} learned from",
    EXAMPLES: "the labelled examples that {} was taught",
    "held_out": "the held-out text that {} was judged by",
    RUN: "the run in MLflow that judged {} last",
}
Fact = tuple[str, str]


@dataclass(frozen=True)
class Meaning:
    """One of the things that a digest stands for.

    Attributes:
        digest: whole.
        what: in words.
        facts: more of it, each with its name.
    """

    digest: str
    what: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class _Artifact:
    kind: str
    digest: str
    content: str
    manifest: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.digest}"


class Meanings:
    """Finds what digests stand for.

    Attributes:
        versions: all that there are in the registry, with their aliases.
    """

    def __init__(
        self,
        layout: Layout,
        versions: Sequence[RegisteredModel],
        record_of: Callable[[RegisteredModel], RunRecord | None],
    ) -> None:
        """`record_of` says how a version was made."""
        self._layout = layout
        self._record_of = record_of
        self.versions = [each for each in versions if DIGEST in each.tags]

    def find(self, prefix: str) -> list[Meaning]:
        """All meanings of all digests that begin so; what is nearest to the store comes first."""
        near = chain(
            self._artifacts_called(prefix),
            self._runs(prefix),
            self._tags(prefix),
            self._within_artifacts(prefix),
            self._met(prefix),
            self._names(prefix),
        )
        # Of runs MLflow must be asked one by one. A ledger knows a config of the versions only that
        # were refused: what else was trained by it, the runs say.
        return list(near) or [*self._records(prefix), *self._refused(prefix)]

    @cached_property
    def _artifacts(self) -> list[_Artifact]:
        return [
            _Artifact(kind, digest, content_of(manifest), manifest)
            for kind in self._layout.kinds()
            for digest, manifest in manifests(self._layout, kind)
        ]

    def _artifacts_called(self, prefix: str) -> Iterator[Meaning]:
        for each in self._artifacts:
            if each.digest.startswith(prefix):
                yield Meaning(each.digest, f"an artifact: {each.kind}", self._facts(each))

    def _facts(self, artifact: _Artifact) -> tuple[Fact, ...]:
        manifest = artifact.manifest
        facts = [
            ("folder", str(self._layout.artifact(artifact.kind, artifact.digest))),
            ("holds", in_short(manifest)),
            ("made by", f"corpusmill {manifest['code_version']}, {manifest['created']}"),
        ]
        facts += [
            ("from", f"{name} {digest}{self._in_words(digest)}")
            for name, digest in manifest["inputs"].items()
        ]
        facts += [("config", f"{name} = {value!r}") for name, value in _leaves(manifest["config"])]
        facts += [
            ("is in", str(each))
            for each in self._artifacts
            if {artifact.digest, artifact.content} & set(each.manifest["inputs"].values())
        ]
        return (*facts, ("needed by", self._needed(artifact)))

    def _in_words(self, digest: str) -> str:
        """Of which artifact a digest is, in brackets."""
        for each in self._artifacts:
            if digest == each.digest:
                return f" ({each.kind})"
        for each in self._artifacts:
            if digest == each.content:
                return f" (the bytes of {each})"
        return ""

    def _needed(self, artifact: _Artifact) -> str:
        name = (artifact.kind, artifact.digest)
        if versions := needed_by(self._layout, self.versions).get(name):
            return ", ".join(versions)
        needs = needs_of(self._layout, self.versions)
        if name in needs.useful:
            return "versions with an alias: it saves work with them"
        if artifact.kind in needs.unknown:
            return needs.unknown[artifact.kind]
        return "no version: `corpusmill prune` removes it, by and by"

    def _runs(self, prefix: str) -> Iterator[Meaning]:
        for path in sorted(self._layout.runs.glob(f"{prefix}*/")):
            yield Meaning(path.name, "a training run", (("folder", str(path)),))

    def _tags(self, prefix: str) -> Iterator[Meaning]:
        for version in self.versions:
            if version.run_id.startswith(prefix):
                yield Meaning(version.run_id, f"the run in MLflow that made {_titled(version)}")
            for tag, said in _TAGS.items():
                if (digest := version.tags.get(tag, "")).startswith(prefix):
                    yield Meaning(digest, said.format(_titled(version)))

    def _within_artifacts(self, prefix: str) -> Iterator[Meaning]:
        here = {each.digest for each in self._artifacts}
        for each in self._artifacts:
            if each.content.startswith(prefix):
                yield Meaning(each.content, f"the bytes of {each}")
        for each in self._artifacts:
            if digest_json(each.manifest["config"]).startswith(prefix):
                facts = tuple(
                    ("config", f"{n} = {v!r}") for n, v in _leaves(each.manifest["config"])
                )
                yield Meaning(digest_json(each.manifest["config"]), f"how {each} was made", facts)
        for each in self._artifacts:
            for file in each.manifest["files"]:
                if file["sha256"].startswith(prefix):
                    yield Meaning(file["sha256"], f"SHA-256 of {file['path']} of {each}")
            for name, digest in each.manifest["inputs"].items():
                if digest.startswith(prefix) and digest not in here:
                    yield Meaning(digest, f"the {name} that {each} was made from")

    def _met(self, prefix: str) -> Iterator[Meaning]:
        """Of corpora, files and documents that versions have met, each for the first of them."""
        seen = set[tuple[str, str]]()
        for version in sorted(self.versions, key=lambda each: (each.name, int(each.version))):
            memory = version.tags.get(MEMORY)
            folder = self._layout.artifact("memory", memory or "")
            try:
                segments = read_segments(folder)
                for segment in segments:
                    if (version.name, segment.corpus) not in seen:
                        seen.add((version.name, segment.corpus))
                        yield from _of_segment(prefix, segment, version)
                        yield from _of_files(prefix, folder, segment, version)
                        yield from _of_documents(prefix, folder, segment, version)
            except ArtifactError:
                continue  # `corpusmill verify` says so

    def _names(self, prefix: str) -> Iterator[Meaning]:
        """Of ledgers and locks, which are called by digests of names, and of what ledgers hold."""
        for name in sorted({each.name for each in self.versions}):
            called = {
                "the ledger of": "ledger",
                "the lock of nights of": "night",
                "the lock of versions and aliases of": "registered model",
            }
            for said, kind in called.items():
                if (digest := digest_json([kind, name])).startswith(prefix):
                    yield Meaning(digest, f"{said} {name}")
            for aside in Ledger(self._layout, name).read().set_aside:
                for digest in aside.ids:
                    if digest.startswith(prefix):
                        said = f"a document of {aside.file}, which waits for a person: {aside.why}"
                        yield Meaning(digest, said)

    def _refused(self, prefix: str) -> Iterator[Meaning]:
        for name in sorted({each.name for each in self.versions}):
            for each in Ledger(self._layout, name).read().rejected:
                if (each.config or "").startswith(prefix):
                    said = f"how version {each.version} of {name}, which was refused, was trained"
                    yield Meaning(each.config or "", said)

    def _records(self, prefix: str) -> Iterator[Meaning]:
        for version in self.versions:
            if not (record := self._record_of(version)):
                continue
            if (digest := record.config_digest or "").startswith(prefix):
                facts = (("run", record.name),)
                yield Meaning(digest, f"the config of {_titled(version)}", facts)
            for name, digest in record.inputs.items():
                if digest.startswith(prefix):
                    said = f"the {name} that {_titled(version)} was made from; no longer there"
                    yield Meaning(digest, said)


def one_digest(meanings: Sequence[Meaning]) -> bool:
    """Whether all are of one digest, in its whole length or cut."""
    longest = max((each.digest for each in meanings), key=len)
    return all(longest.startswith(each.digest) for each in meanings)


def _titled(version: RegisteredModel) -> str:
    aliases = f" ({', '.join(sorted(version.aliases))})" if version.aliases else ""
    return f"{version.uri}{aliases}"


def _of_segment(prefix: str, segment: Segment, version: RegisteredModel) -> Iterator[Meaning]:
    for digest, said in (
        (segment.corpus, f"a corpus of {segment.documents:,} documents"),
        (segment.shards, "shards"),
        (segment.held_out, "held-out text"),
    ):
        if digest.startswith(prefix):
            yield Meaning(digest, f"{said} that {_titled(version)} was the first to meet")


def _of_files(
    prefix: str, folder: Path, segment: Segment, version: RegisteredModel
) -> Iterator[Meaning]:
    for file in read_files(files_path(folder, segment.name)) or ():
        facts = (
            ("file", str(file.path)),
            ("source", f"{file.source}, licence {file.licence}"),
            ("bytes", f"{file.size:,}"),
            ("documents", f"{file.train:,} learned, {file.held_out:,} held out"),
            ("corpus", segment.corpus),
            ("met first by", _titled(version)),
        )
        for digest, said in (
            (file.sha256, f"SHA-256 of the file {file.name}"),
            (file.identity.hex(), f"the file {file.name} as it was read"),
        ):
            if digest.startswith(prefix):
                yield Meaning(digest, said, facts)


def _of_documents(
    prefix: str, folder: Path, segment: Segment, version: RegisteredModel
) -> Iterator[Meaning]:
    met = read_met(documents_path(folder, segment.name))
    if len(prefix) > 2 * met.ids.shape[1]:
        return
    whole = np.frombuffer(bytes.fromhex(prefix[: len(prefix) // 2 * 2]), np.uint8)
    for row in np.flatnonzero((met.ids[:, : len(whole)] == whole).all(axis=1)):
        if (digest := met.ids[row].tobytes().hex()).startswith(prefix):
            said = f"a document, {_SIDES[int(met.sides[row])]}"
            facts = (("corpus", segment.corpus), ("met first by", _titled(version)))
            yield Meaning(digest, said, facts)


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
