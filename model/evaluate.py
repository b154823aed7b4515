"""Entry point of the evaluation process: `python -m corpusmill.model.evaluate job.json`.

Scores a model in the Hugging Face format on held-out documents, whatever its tokenizer, and writes
blocks.arrow and result.json into the job's directory. Exit code 0: done. 3: the input must
change first, as a sentence on standard error says. Any other: it may be tried again.
"""

import sys
from pathlib import Path

from corpusmill.model.config import EvaluationJob
from corpusmill.model.process import do_job, imports_that_last
from corpusmill.storage.config import read_json, write_json_value


def main() -> int:
    return do_job("corpusmill.model.evaluate", _work)


def _work(file: Path) -> None:
    job = read_json(EvaluationJob, file)
    with imports_that_last():  # torch, after the tie to the parent
        from corpusmill.model.evaluation.held_out import evaluate

    write_json_value(job.directory / "result.json", evaluate(job))


if __name__ == "__main__":
    sys.exit(main())
