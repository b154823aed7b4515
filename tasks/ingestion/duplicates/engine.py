"""Which implementation hashes documents: compiled loops if numba works, else numpy."""

from types import ModuleType

from corpusmill.tasks.ingestion.compiled import import_compiled
from corpusmill.tasks.ingestion.duplicates import vectorised

_INSTEAD = "near-duplicates are looked for with numpy, 10 to 40 times slower"


def engine() -> ModuleType:
    """`kernels`, or `vectorised`, which gives the same results."""
    return import_compiled("duplicates", "kernels", _INSTEAD) or vectorised
