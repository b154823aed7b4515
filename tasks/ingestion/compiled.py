"""Imports modules compiled by numba, and removes stale code from its cache."""

import logging
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType


@cache
def import_compiled(package: str, module: str, instead: str) -> ModuleType | None:
    """A module of compiled code; None, with a warning in the log, if numba does not work here.

    Args:
        package: the folder beside this file that the module is in.
        instead: what is used instead, for the log.
    """
    try:
        _forget_stale_code(Path(__file__).parent / package)
        return import_module(f"corpusmill.tasks.ingestion.{package}.{module}")
    # numba raises RuntimeError if it finds no folder for its cache.
    except (ImportError, RuntimeError) as error:
        logging.getLogger(__name__).warning(
            "numba does not work here (%s): %s; install numba to be faster", error, instead
        )
        return None


def _forget_stale_code(folder: Path) -> None:
    """Removes compiled code that is older than one of the files of a package.

    numba looks only at the file that a function is in, not at those that it calls functions of or
    takes constants from.
    """
    newest = max(file.stat().st_mtime_ns for file in folder.glob("*.py"))
    for file in (folder / "__pycache__").glob("*.nb[ic]"):
        # Where this folder cannot be written, numba keeps its code elsewhere.
        with suppress(OSError):
            if file.stat().st_mtime_ns < newest:
                file.unlink()
