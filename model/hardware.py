"""Entry point that tells what the hardware is: `python -m model.hardware hardware.json`.

Out: a `Hardware`, as torch finds it in this environment. Exit code 0: done. 1: a sentence on
standard error says why not.
"""

import sys
from pathlib import Path

from model.device import find_hardware
from storage.config import write_json_value
from storage.errors import CorpusmillError


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m model.hardware hardware.json", file=sys.stderr)
        return 2
    try:
        write_json_value(Path(sys.argv[1]), find_hardware())
    except CorpusmillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
