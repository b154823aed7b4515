"""Entry point that writes text: `python -m corpusmill.model.inference.sample FOLDER PROMPT`."""

import signal
import sys
from pathlib import Path

from corpusmill.model.inference.request import AnswerRequest
from corpusmill.storage.config import parse
from corpusmill.storage.errors import CorpusmillError
from corpusmill.storage.markup import on_terminal


def main() -> int:
    if len(sys.argv) != 3:
        print(
            "usage: python -m corpusmill.model.inference.sample MODEL_FOLDER PROMPT",
            file=sys.stderr,
        )
        return 2
    # Whoever reads it may have had enough, as `head` has.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    from corpusmill.model.inference.answering import load_answerer

    directory, prompt = sys.argv[1:]
    try:
        asked = parse(AnswerRequest, {"prompt": prompt, "max_new_tokens": 200})
        model = load_answerer(Path(directory))
        print(prompt if model.continues else "", end="", flush=True)
        for piece in model.stream(prompt, max_new_tokens=asked.max_new_tokens, sampling=asked):
            print(on_terminal(piece), end="", flush=True)
        print()
    except CorpusmillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
