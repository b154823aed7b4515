"""Entry point of the prediction process: `python -m corpusmill.model.predict job.json`.

Answers labelled examples with a network that fine-tuning has made, and writes what it said into the
job's directory. Exit code 0: done. 3: the input must change first, as a sentence on standard error
says. Any other: it may be tried again.
"""

import sys
from pathlib import Path

from corpusmill.model.process import do_job, imports_that_last
from corpusmill.model.tasks.config import PredictionJob
from corpusmill.storage.config import read_json


def main() -> int:
    return do_job("corpusmill.model.predict", _work)


def _work(file: Path) -> None:
    job = read_json(PredictionJob, file)
    with imports_that_last():  # torch, after the tie to the parent
        from corpusmill.model.tasks.prediction import predict

    predict(job)


if __name__ == "__main__":
    sys.exit(main())
