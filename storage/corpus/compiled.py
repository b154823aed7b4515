"""Compiled code that numba keeps between processes, as far as it can be trusted."""

from contextlib import suppress
from pathlib import Path


def forget_stale_code(folder: Path) -> None:
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
