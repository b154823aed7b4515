"""Entry point of the process of a baseline: `python -m corpusmill.model.baseline job.json`.

Fits it to the training side of labelled examples and writes what it predicts of the other sides,
and result.json, into the job's directory. Exit code 0: done. 3: the input must change first, as a
sentence on standard error says. Any other: it may be tried again.
"""

import sys
from pathlib import Path

from corpusmill.model.baselines.config import BaselineJob
from corpusmill.model.process import do_job, imports_that_last
from corpusmill.storage.config import read_json, write_json_value


def main() -> int:
    return do_job("corpusmill.model.baseline", _work)


def _work(file: Path) -> None:
    job = read_json(BaselineJob, file)
    with imports_that_last():  # scikit-learn, after the tie to the parent
        from corpusmill.model.baselines.fitting import fit_baseline

    write_json_value(job.directory / "result.json", fit_baseline(job))


if __name__ == "__main__":
    sys.exit(main())
