"""Which way the hashing takes: compiled loops where numba works, numpy otherwise."""

import logging
from functools import cache
from pathlib import Path
from types import ModuleType

from storage.corpus.compiled import forget_stale_code


@cache
def engine() -> ModuleType:
    """`kernels`, or `vectorised`, which gives the same results 10 to 40 times slower."""
    try:
        forget_stale_code(Path(__file__).parent)
        from storage.corpus.duplicates import kernels
    # A RuntimeError says that there is no folder for numba's compiled code.
    except (ImportError, RuntimeError) as error:
        from storage.corpus.duplicates import vectorised

        logging.getLogger(__name__).warning(
            "numba does not work here (%s): near-duplicates are looked for with numpy instead, "
            "more slowly; install numba to be faster",
            error,
        )
        return vectorised
    return kernels
