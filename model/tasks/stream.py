"""Answers texts as they come: `python -m corpusmill.model.tasks.stream MODEL`.

In: a line of JSON for some texts at once, {"texts": […], "pairs": […] or null}. Out: a line with as
many answers, as `corpusmill.model.tasks.answers` gives them; first of all one that says what kind
of answers they are and which labels there are.
"""

import json
import signal
import sys
from pathlib import Path

from corpusmill.model.process import INPUT_ERROR, die_with_parent, imports_that_last
from corpusmill.storage.errors import InputError


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m corpusmill.model.tasks.stream MODEL", file=sys.stderr)
        return 2
    die_with_parent(signal.SIGKILL)
    with imports_that_last():  # torch, after the tie to the parent
        from corpusmill.model.tasks.answers import answers_of
        from corpusmill.model.tasks.prediction import Predictor
    try:
        predictor = Predictor(Path(sys.argv[1]))
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    head = predictor.head
    print(json.dumps({"kind": head.kind, "labels": head.labels}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        found = answers_of(predictor, asked["texts"], asked["pairs"])
        print(json.dumps(found, ensure_ascii=True), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
