"""Entry point of the prediction process: `python -m corpusmill.model.predict job.json`.

Answers labelled examples with a network that fine-tuning has made, and writes what it said into the
job's directory. Exit code 0: done. 3: the input must change first, as a sentence on standard error
says. Any other: it may be tried again.
"""

import signal
import sys
from pathlib import Path

from corpusmill.model.process import INPUT_ERROR, die_with_parent, imports_that_last
from corpusmill.model.tasks.config import PredictionJob
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import InputError


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m corpusmill.model.predict job.json", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGKILL)
    try:
        job = read_json(PredictionJob, Path(sys.argv[1]))
        with imports_that_last():  # torch, after the tie to the parent
            from corpusmill.model.tasks.prediction import predict

        predict(job)
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
