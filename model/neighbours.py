"""Entry point of the process that looks for neighbours: `python -m corpusmill.model.neighbours
job.json`.

Finds the training examples most like some others and writes them into the job's directory. Exit
code 0: done. 3: the input must change first, as a sentence on standard error says. Any other: it
may be tried again.
"""

import sys
from pathlib import Path

from corpusmill.model.baselines.config import NeighboursJob
from corpusmill.model.process import do_job, imports_that_last
from corpusmill.storage.config import read_json


def main() -> int:
    return do_job("corpusmill.model.neighbours", _work)


def _work(file: Path) -> None:
    job = read_json(NeighboursJob, file)
    with imports_that_last():  # scikit-learn, after the tie to the parent
        from corpusmill.model.baselines.neighbours import find_neighbours

    find_neighbours(job)


if __name__ == "__main__":
    sys.exit(main())
