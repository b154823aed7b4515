"""The manifest of an artifact: every file with its size and digest, what it came from, counts."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import ArtifactError

MANIFEST = "manifest.json"


def digest_json(value: Any) -> str:
    """First 32 hex digits of the SHA-256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    sync(path.parent)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the artifact at `path`.

    Raises:
        ArtifactError: there is none, or it is not the JSON of a manifest.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        for entry in manifest["files"]:
            _ = entry["path"], entry["size"], entry["sha256"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{path} is not a complete artifact: expected a readable {MANIFEST} in it ({error}); "
            "run the stage that makes it again."
        ) from error
    return manifest


def verify(path: Path) -> dict[str, Any]:
    """Checks size and SHA-256 of every file against the manifest, and returns the manifest.

    Raises:
        ArtifactError: naming the first file that is missing or differs.
    """
    manifest = read_manifest(path)
    for entry in manifest["files"]:
        file = path / entry["path"]
        size = file.stat().st_size if file.is_file() else None
        if size != entry["size"]:
            raise ArtifactError(
                f"{file} has {size if size is not None else 'no'} bytes, "
                f"its manifest says {entry['size']}; run the stage that makes it again."
            )
        if digest_file(file) != entry["sha256"]:
            raise ArtifactError(
                f"{file} does not have the SHA-256 in its manifest; "
                "run the stage that makes it again."
            )
    return manifest


def describe_files(directory: Path) -> list[dict[str, Any]]:
    """Path, size and SHA-256 of every file below, all of them made to survive a power cut."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in files:
        sync(path)
    for folder in {path.parent for path in files}:
        sync(folder)
    return [
        {
            "path": path.relative_to(directory).as_posix(),
            "size": path.stat().st_size,
            "sha256": digest_file(path),
        }
        for path in files
    ]


def check_counts(counts: Mapping[str, Any]) -> None:
    """Raises ArtifactError unless what was kept and dropped adds up to what came in.

    That is checked of documents, and of each side of labelled examples.
    """
    for name, each in counts.items():
        if not isinstance(each, Mapping) or each.keys() != {"in", "kept", "dropped"}:
            continue
        dropped = sum(each["dropped"].values())
        if each["in"] != each["kept"] + dropped:
            what = name if name == "documents" else f"{name} examples"
            raise ArtifactError(
                f"{each['in']} {what} came in, but {each['kept']} kept and {dropped} dropped do "
                "not add up to that; this is a defect of corpusmill, please report it."
            )


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
