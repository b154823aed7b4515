"""Verification: whether all that lies in the store, and all that versions need, is as it was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST, read_manifest, verify
from corpusmill.storage.versions import DIGEST, RegisteredModel
from corpusmill.tasks.stages.needs import Needs, needs_of
from corpusmill.tasks.stages.progress import Bar, gather

NEEDED, VERSIONS = "needed by versions", "versions in MLflow"


@dataclass(frozen=True)
class Checked:
    """What was found of one kind.

    Attributes:
        kind: of artifact, or NEEDED, or VERSIONS.
        sound: how many are.
        wrong: a sentence for each that is not, with what helps.
    """

    kind: str
    sound: int
    wrong: tuple[str, ...]


def verify_store(
    layout: Layout,
    versions: Sequence[RegisteredModel],
    check_files: Callable[[RegisteredModel], None],
    bar: Bar,
) -> list[Checked]:
    """Reads every artifact of the store, and the files of every version.

    Args:
        versions: all that there are in the registry; those of other tools are left out.
        check_files: raises ArtifactError where MLflow's files of a version are not as registered.
        bar: is shown how much is read.
    """
    found = [(kind, path) for kind in layout.kinds() for path in _complete(layout, kind)]
    said = gather((_fault(path) for _, path in found), map(_size, _paths(found)), "verify", bar)
    checked = []
    for kind in layout.kinds():
        every = [fault for (each, _), fault in zip(found, said, strict=True) if each == kind]
        checked.append(_checked(kind, every))
    ours = [each for each in versions if DIGEST in each.tags]
    checked.append(_checked(NEEDED, list(_missing(layout, needs_of(layout, ours)))))
    lost = []
    for number, version in enumerate(ours):
        bar.show(100.0 * number / len(ours), f"files of {version.uri}")
        lost.append(_lost(check_files, version))
    checked.append(_checked(VERSIONS, lost))
    return checked


def _complete(layout: Layout, kind: str) -> list[Path]:
    paths = (path.parent for path in sorted(layout.artifacts(kind).glob(f"*/{MANIFEST}")))
    return [path for path in paths if "." not in path.name]


def _paths(found: Sequence[tuple[str, Path]]) -> list[Path]:
    return [path for _, path in found]


def _size(path: Path) -> int:
    try:
        return sum(entry["size"] for entry in read_manifest(path)["files"])
    except ArtifactError:
        return 0


def _fault(path: Path) -> str | None:
    """What is wrong with an artifact; nothing with one that a flow has removed meanwhile."""
    try:
        digest = verify(path)["digest"]
    except (ArtifactError, OSError) as error:
        return str(error) if path.exists() else None
    if digest != path.name:
        return (
            f"{path} says that it is {digest}, expected the digest that it is called by; move it "
            "away and run the stage that makes it again."
        )
    return None


def _missing(layout: Layout, needs: Needs) -> Iterator[str | None]:
    for (kind, digest), uri in needs.required.items():
        if (layout.artifact(kind, digest) / MANIFEST).exists():
            yield None
        else:
            yield (
                f"{kind}/{digest} is not in {layout.root}, and {uri} needs it to be continued; "
                "restore the store from a copy, or verify in the home that trained this version."
            )


def _lost(check_files: Callable[[RegisteredModel], None], version: RegisteredModel) -> str | None:
    try:
        check_files(version)
    except ArtifactError as error:
        return str(error)
    return None


def _checked(kind: str, faults: Sequence[str | None]) -> Checked:
    wrong = tuple(fault for fault in faults if fault)
    return Checked(kind, len(faults) - len(wrong), wrong)
