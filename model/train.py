"""Entry point of training: `accelerate launch --module corpusmill.model.train job.json [MEETING]`.

In: job.json, and a file for the processes of one machine to meet in, where they are several and
shall not open a port for that. Out: journal.jsonl, checkpoints, the model and result.json in the
job's directory.
Exit code 0: finished. 1: failed for a reason that result.json names. 3: asked to stop, resumable.
"""

import os
import sys
from pathlib import Path

from corpusmill.model.process import imports_that_last, stop_with_parent
from corpusmill.model.training.job import TrainingJob
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import CorpusmillError
from corpusmill.storage.settings import drop_variables

_EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 3}


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(
            "usage: accelerate launch --module corpusmill.model.train job.json [MEETING]",
            file=sys.stderr,
        )
        return 2
    stop_with_parent()
    # By these accelerate would scale gradients, cast, compile or shard as a shell says.
    drop_variables("ACCELERATE_", "FSDP_")
    try:
        job = read_json(TrainingJob, Path(sys.argv[1]))
    except CorpusmillError as error:
        print(error, file=sys.stderr)
        return 1
    # After the tie to the parent: importing torch takes seconds.
    with imports_that_last():
        from corpusmill.model.training.loop import train
        from corpusmill.model.training.ranks import meet

    if sys.argv[2:]:
        meet(Path(sys.argv[2]), job.num_processes)
    result = train(job)
    if result.error:
        print(result.error, file=sys.stderr)
    return _EXIT_CODES[result.status]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The process group is not taken apart: with gloo that can wait for a thread of the group which
    # itself waits for the interpreter (torch 2.13), and then a finished run never ends.
    os._exit(code)
