"""Which way the rules are applied: compiled by numba where it works, plain Python otherwise."""

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def compiled() -> bool:
    """Whether the compiled kernels work here; says so once where they do not."""
    try:
        _forget_stale_code()
        from storage.corpus.cleaning import kernels, phrase_kernels  # noqa: F401
    # A RuntimeError says that there is no folder for numba's compiled code.
    except (ImportError, RuntimeError) as error:
        logging.getLogger(__name__).warning(
            "numba does not work here (%s): the cleaning rules are applied in plain Python, with "
            "the same results some 80 times slower; install numba to be faster",
            error,
        )
        return False
    return True


def _forget_stale_code() -> None:
    """Removes compiled code that is older than one of these files.

    numba looks only at the file that a function is in, not at those that it calls functions of.
    """
    folder = Path(__file__).parent
    newest = max(file.stat().st_mtime_ns for file in folder.glob("*.py"))
    for file in (folder / "__pycache__").glob("*.nb[ic]"):
        # Where this folder cannot be written, numba keeps its code elsewhere.
        with suppress(OSError):
            if file.stat().st_mtime_ns < newest:
                file.unlink()
