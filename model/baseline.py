"""Entry point of the process of a baseline: `python -m corpusmill.model.baseline job.json`.

Fits it to the training side of labelled examples and writes what it predicts of the other sides,
and result.json, into the job's directory. Exit code 0: done. 3: the input must change first, as a
sentence on standard error says. Any other: it may be tried again.
"""

import signal
import sys
from pathlib import Path

from corpusmill.model.baselines.config import BaselineJob
from corpusmill.model.process import INPUT_ERROR, die_with_parent, imports_that_last
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.errors import InputError


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m corpusmill.model.baseline job.json", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGKILL)
    try:
        job = read_json(BaselineJob, Path(sys.argv[1]))
        with imports_that_last():  # scikit-learn, after the tie to the parent
            from corpusmill.model.baselines.fitting import fit_baseline

        result = fit_baseline(job)
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    write_json_value(job.directory / "result.json", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
