"""Entry point that tells what the hardware is: `python -m corpusmill.model.hardware hardware.json`.

Out: a `Hardware`, as torch finds it in this environment. Exit code 0: done. 3: a sentence on
standard error says why not.
"""

import sys
from pathlib import Path

import torch

from corpusmill.model.config import Hardware
from corpusmill.model.device import resolve_precision
from corpusmill.model.process import INPUT_ERROR
from corpusmill.storage.config import write_json_value
from corpusmill.storage.errors import InputError


def find_hardware() -> Hardware:
    """What torch finds in this process."""
    return Hardware(gpus=torch.cuda.device_count(), precision=resolve_precision("auto"))


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m corpusmill.model.hardware hardware.json", file=sys.stderr)
        return 2
    try:
        write_json_value(Path(sys.argv[1]), find_hardware())
    except InputError as error:
        print(error, file=sys.stderr)
        return INPUT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
