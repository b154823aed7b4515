"""Entry point that writes text: `python -m model.sample MODEL_FOLDER PROMPT`."""

import sys
from pathlib import Path

from storage.errors import CorpusmillError


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: python -m model.sample MODEL_FOLDER PROMPT", file=sys.stderr)
        return 2
    from model.scoring import load_writer

    directory, prompt = sys.argv[1:]
    try:
        writer = load_writer(Path(directory))
    except CorpusmillError as error:
        print(error, file=sys.stderr)
        return 1
    text = writer.continue_text(prompt, max_new_tokens=200, temperature=0.8, top_k=50, seed=0)
    print(prompt + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
