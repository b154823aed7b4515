"""Pruning: what no version needs leaves the store, with finished runs and what crashes left."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpusmill.model.training.job import TrainingResult
from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.manifest import MANIFEST
from corpusmill.storage.versions import DIGEST, RegisteredModel
from corpusmill.storage.writing import is_locked, lock_or_leave
from corpusmill.tasks.stages.needs import Needs, needs_of

HOUR = 3600.0
_DAY = 24 * HOUR
# Of what somebody may still go on with: a run that failed, a model that was not registered.
_PATIENCE = 7 * _DAY
RUNS, LEFTOVERS = "runs", "leftovers"


@dataclass(frozen=True)
class Removal:
    """Something that is not needed.

    Attributes:
        kind: of artifact, or RUNS, or LEFTOVERS.
        bytes: that become free, where nothing else links to them.
    """

    kind: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class PruningPlan:
    """What is to be removed.

    Attributes:
        notes: sentences about what stays although nothing may need it, and why.
    """

    removals: tuple[Removal, ...]
    notes: tuple[str, ...]


def plan_pruning(
    layout: Layout, versions: Sequence[RegisteredModel], age: float = HOUR
) -> PruningPlan:
    """Finds what no version needs; removes nothing.

    Downloads stay, and compiled networks, ledgers and the servers' own files.

    Args:
        versions: all that there are in the registry.
        age: seconds for which an artifact stays in any case.
    """
    needs = needs_of(layout, versions)
    registered = {each.tags.get(DIGEST, "") for each in versions}
    notes = list(dict.fromkeys(needs.unknown.values()))
    found = [(RUNS, path) for path in _runs(layout, registered)]
    if busy := at_work(layout):
        notes.append(
            f"a flow is at work ({', '.join(busy)}) and may use any artifact: all of them stay; "
            "prune again when it has ended"
        )
    else:
        found += _artifacts(layout, needs, registered, age)
    return PruningPlan(tuple(_measured(found)), tuple(notes))


def prune(plan: PruningPlan) -> None:
    """Removes what was planned; a run that a flow has taken up meanwhile stays."""
    for each in plan.removals:
        if each.kind == RUNS:
            with lock_or_leave(RunLayout(each.path).lock) as free:
                if free:
                    shutil.rmtree(each.path)
        elif each.path.is_dir():
            discard(Ref(each.kind, each.path.name, each.path))
        else:
            each.path.unlink(missing_ok=True)


def at_work(layout: Layout) -> list[str]:
    """What flows that are at work hold locks on, by its place in the store."""
    patterns = ("locks/*", "artifacts/*/.tmp-*.lock", "runs/*/lock")
    paths = (path for pattern in patterns for path in sorted(layout.root.glob(pattern)))
    return [str(path.relative_to(layout.root)) for path in paths if is_locked(path)]


def _artifacts(
    layout: Layout, needs: Needs, registered: set[str], age: float
) -> Iterator[tuple[str, Path]]:
    for kind in layout.kinds():
        for path in sorted(layout.artifacts(kind).iterdir()):
            if "." in path.name or not (path / MANIFEST).exists():
                if kind not in needs.unknown and _seconds_since(path) > _DAY:
                    yield LEFTOVERS, path
                continue
            waits = kind == "model" and path.name not in registered
            least = max(age, _PATIENCE) if waits else age
            if not needs.keep(kind, path.name) and _seconds_since(path / MANIFEST) > least:
                yield kind, path


def _runs(layout: Layout, registered: set[str]) -> Iterator[Path]:
    """Runs that have nothing left to do, or that nobody has gone on with for long."""
    for path in sorted(layout.runs.glob("*/")):
        run = RunLayout(path)
        if is_locked(run.lock):
            continue
        made = path.name in registered or (layout.artifact("model", path.name) / MANIFEST).exists()
        if (made and _is_finished(run)) or _seconds_since(path, *path.iterdir()) > _PATIENCE:
            yield path


def _is_finished(run: RunLayout) -> bool:
    try:
        return read_json(TrainingResult, run.result).status == "finished"
    except ConfigError:
        return False


def _seconds_since(*paths: Path) -> float:
    """Since the last of them was changed."""
    return time.time() - max(path.lstat().st_mtime for path in paths)


def _measured(found: Sequence[tuple[str, Path]]) -> Iterator[Removal]:
    """With the bytes that become free: of a file with several names when its last one goes."""
    gone: Counter[tuple[int, int]] = Counter()
    for kind, path in found:
        free = 0
        for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
            stat = each.lstat()
            gone[stat.st_dev, stat.st_ino] += 1
            if not each.is_dir() and gone[stat.st_dev, stat.st_ino] == stat.st_nlink:
                free += stat.st_size
        yield Removal(kind, path, free)
