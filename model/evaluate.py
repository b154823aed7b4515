"""Entry point of the evaluation process: `python -m corpusmill.model.evaluate job.json`.

Scores a model in the Hugging Face format on held-out documents, whatever its tokenizer, and writes
blocks.arrow and result.json into the job's directory. Exit code 0: done. 3: the input must
change first, as a sentence on standard error says. Any other: it may be tried again.
"""

import signal
import sys
from pathlib import Path

from corpusmill.model.config import EvaluationJob
from corpusmill.model.process import INPUT_ERROR, die_with_parent, imports_that_last
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.errors import InputError


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m corpusmill.model.evaluate job.json", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGKILL)
    try:
        job = read_json(EvaluationJob, Path(sys.argv[1]))
        with imports_that_last():  # torch, after the tie to the parent
            from corpusmill.model.evaluation.held_out import evaluate

        result = evaluate(job)
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    write_json_value(job.directory / "result.json", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
