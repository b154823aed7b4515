"""Ingestion: sources in, a corpus out."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import ModuleType

from corpusmill.model.process import die_with_parent
from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.errors import ArtifactError, StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST
from corpusmill.tasks.ingestion.building import CorpusPlan, build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.partitions import FilePartition
from corpusmill.tasks.ingestion.parts import make_part
from corpusmill.tasks.stages.progress import Bar, gather

_LOGGER = logging.getLogger(__name__)
# Below this to start processes would take longer than to do it here.
LITTLE_BYTES = 32 << 20


def ingest(layout: Layout, config: CorpusConfig, processes: int, bar: Bar) -> Ref:
    """Reads the sources into a corpus, or finds the one made of the same bytes before.

    Args:
        processes: that work side by side; where there is little to do, it is done in this one.
        bar: is shown how much is read.

    Raises:
        CorpusError: a source that does not exist, matches nothing or cannot be read, or fewer than
            two documents kept.
        StackError: a process was killed.
    """
    plan = plan_corpus(layout, config)
    if plan.corpus:
        return plan.corpus
    sizes = [partition.size for partition in plan.partitions]
    work = partial(make_part, layout, config=config)
    while True:
        if len(sizes) == 1 or sum(sizes) < LITTLE_BYTES:
            parts = gather(map(work, plan.partitions), sizes, "clean", bar)
        else:
            parts = _side_by_side(work, plan, processes, sizes, bar)
        if corpus := join_parts(layout, plan, config, parts):
            return corpus


def join_parts(
    layout: Layout, plan: CorpusPlan, config: CorpusConfig, parts: Sequence[Ref]
) -> Ref | None:
    """Makes the corpus of the plan's parts, which are discarded.

    Returns:
        The corpus, or None where parts are gone because another flow has taken them in.
    """
    try:
        corpus = build_corpus(layout, plan.sources, config, parts, plan.past)
    except (ArtifactError, FileNotFoundError):
        if all((part.path / MANIFEST).exists() for part in parts):
            raise
        _LOGGER.warning("another flow took in some of these parts; making them again")
        return None
    for part in parts:
        discard(part)
    return corpus


def killed(what: str) -> StackError:
    """What to say where processes of this stage were killed."""
    return StackError(
        f"{what}: processes were killed, most likely for want of memory; free some, or set "
        "CORPUSMILL_PROCESSES to use fewer, and run again: what is done is kept."
    )


def _side_by_side(
    work: Callable[[FilePartition], Ref],
    plan: CorpusPlan,
    processes: int,
    sizes: Sequence[int],
    bar: Bar,
) -> list[Ref]:
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, die_with_parent, (signal.SIGTERM,)) as pool:
        try:
            with _no_main():
                results = pool.map(work, plan.partitions)
            return gather(results, sizes, "clean", bar)
        except BrokenProcessPool as error:
            raise killed("clean") from error


@contextmanager
def _no_main() -> Iterator[None]:
    """Processes that begin within the block do not run the caller's script again.

    Each would import it first, and need nothing of it; one without `if __name__ == "__main__":`
    would then begin from its start.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
