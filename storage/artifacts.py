"""Artifacts: directories that are complete if and only if their `manifest.json` exists.

A directory is written beside its final place, every file is synced, the manifest is written last
and one rename moves it into place. The name is the digest of (inputs, config, format version), so
that a stage whose work is there returns at once, and two writers of one artifact agree.
"""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import ArtifactError, StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import (
    MANIFEST,
    check_counts,
    describe_files,
    digest_json,
    read_manifest,
    sync,
    verify,
    write_json,
)
from corpusmill.storage.packages import installed
from corpusmill.storage.writing import locked, sweep, temporary


@dataclass(frozen=True)
class Ref:
    """A small value that names one artifact: what it is, which one, and where it lies."""

    kind: str
    digest: str
    path: Path

    def __str__(self) -> str:
        return f"{self.kind}/{self.digest[:12]}"


@dataclass(frozen=True)
class Spec:
    """What an artifact is made from; its digest is the artifact's identity.

    Attributes:
        kind: corpus, tokenizer, shards, training, evaluation, …
        format_version: raised when the files' layout changes.
        inputs: digests of what goes in, by name.
        config: JSON values that change the outcome.
    """

    kind: str
    format_version: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """First 32 hex digits of the SHA-256 of the canonical JSON of this value."""
        identity = [self.kind, self.format_version, dict(self.inputs), dict(self.config)]
        return digest_json(identity)


def publish(
    final: Path, spec: Spec, write: Callable[[Path], Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Lets `write` fill a temporary directory, then makes it the artifact at `final`.

    Args:
        final: where the artifact will lie; its parent is created.
        spec: what it is made from.
        write: fills the directory it is given and returns the counts for the manifest.

    Returns:
        The manifest at `final`: this writer's, or that of another writer who came first.

    Raises:
        ArtifactError: counts that do not add up (documents in = kept + dropped).
        StackError: the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    sweep(final.parent)
    with _full_disk_said(final.parent), temporary(final.parent) as directory:
        counts = dict(write(directory) or {})
        check_counts(counts)
        manifest = {
            "kind": spec.kind,
            "format_version": spec.format_version,
            "digest": spec.digest,
            "inputs": dict(spec.inputs),
            "config": dict(spec.config),
            "counts": counts,
            "files": describe_files(directory),
            "code_version": installed("corpusmill"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(directory / MANIFEST, manifest)
        try:
            directory.rename(final)
        except OSError:
            if not (final / MANIFEST).exists():
                raise
        sync(final.parent)
    return read_manifest(final)


def obtain(
    layout: Layout, spec: Spec, write: Callable[[Path], Mapping[str, Any] | None]
) -> tuple[Ref, bool]:
    """The artifact of `spec`: the one that is there and verifies, else a new one.

    One whose bytes changed is set aside under `<digest>.damaged-<n>`, never deleted. If another
    writer comes first, and discards what it took in while this one still reads it, its artifact
    counts.

    Returns:
        The reference, and whether it was reused.
    """
    found = find_sound(layout, spec)
    if found:
        return found, True
    final = layout.artifact(spec.kind, spec.digest)
    try:
        publish(final, spec, write)
    except (ArtifactError, FileNotFoundError):
        if found := find_sound(layout, spec):
            return found, True
        raise
    return Ref(spec.kind, spec.digest, final), False


def find_sound(layout: Layout, spec: Spec) -> Ref | None:
    """The artifact of `spec` that is there and verifies; a damaged one is set aside."""
    final = layout.artifact(spec.kind, spec.digest)
    if final.exists() and _keep_if_sound(final, layout.lock(spec.digest)):
        return Ref(spec.kind, spec.digest, final)
    return None


def discard(ref: Ref) -> None:
    """Removes an artifact that another one has taken in; that it is gone already is no error."""
    # The manifest goes first, so that what is left of a crash is no artifact.
    (ref.path / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(ref.path, ignore_errors=True)


def find(layout: Layout, kind: str, digest: str) -> Ref:
    """The verified artifact with this digest.

    Raises:
        ArtifactError: it is not there or does not verify.
    """
    path = layout.artifact(kind, digest)
    verify(path)
    return Ref(kind, digest, path)


def content_digest(ref: Ref) -> str:
    """Digest of the bytes an artifact holds, whatever it was made from."""
    return folder_digest(ref.path)


def folder_digest(path: Path) -> str:
    """Digest of the bytes in a folder: as its manifest has them, or read now where it has none."""
    manifested = (path / MANIFEST).exists()
    return content_of(read_manifest(path) if manifested else {"files": describe_files(path)})


def content_of(manifest: Mapping[str, Any]) -> str:
    """Digest of the bytes that an artifact with this manifest holds."""
    return digest_json(sorted([entry["path"], entry["sha256"]] for entry in manifest["files"]))


def set_aside(path: Path) -> Path:
    """Renames a damaged artifact out of the way and returns its new place."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


def _keep_if_sound(path: Path, lock: Path) -> bool:
    """Whether the artifact verifies; sets it aside if not."""
    with suppress(ArtifactError):
        verify(path)
        return True
    # Another process may find the same damage, and must not set aside what this one rebuilds.
    with locked(lock):
        present = path.exists()
        try:
            verify(path)
        except ArtifactError:
            if present:
                set_aside(path)
            return False
        return True


@contextmanager
def _full_disk_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StackError(
            f"The disk of {folder} is full ({error}); free some space or move CORPUSMILL_HOME, and "
            "run again: what was complete before is kept."
        ) from error
