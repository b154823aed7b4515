"""Which way the rules are applied: compiled by numba where it works, plain Python otherwise."""

import logging
from functools import cache
from pathlib import Path

from storage.corpus.compiled import forget_stale_code


@cache
def compiled() -> bool:
    """Whether the compiled kernels work here; says so once where they do not."""
    try:
        forget_stale_code(Path(__file__).parent)
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
