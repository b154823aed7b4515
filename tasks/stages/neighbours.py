"""Neighbours: labelled examples and some of their ids in, the training examples most like these."""

from collections.abc import Sequence
from pathlib import Path

from corpusmill.model.baselines.config import NeighboursJob
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.layout import Layout
from corpusmill.tasks.launch import neighbours_command, run_job
from corpusmill.tasks.stages.baselines import ENGINES

KIND = "neighbours"
FORMAT_VERSION = 1


def make_neighbours(layout: Layout, examples: Ref, side: Side, ids: Sequence[str]) -> Ref:
    """Finds the nearest training examples in a process of its own, or reuses what was found.

    Args:
        ids: of examples of this side.

    Returns:
        An artifact that `corpusmill.storage.examples.neighbours` reads.

    Raises:
        InputError: a sentence from the process about what a person must mend.
        ProcessError: it ended without an answer.
    """

    def write(directory: Path) -> None:
        job = NeighboursJob(
            directory=directory, examples=examples.path, side=side, ids=tuple(sorted(ids))
        )
        run_job(job, neighbours_command, "neighbours")

    decides = {"side": side, "ids": sorted(ids), "engines": ENGINES}
    spec = Spec(KIND, FORMAT_VERSION, {"examples": content_digest(examples)}, decides)
    found, _ = obtain(layout, spec, write)
    return found
