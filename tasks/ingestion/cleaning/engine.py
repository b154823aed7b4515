"""Whether the rules are applied by compiled numba kernels or, without numba, by plain Python."""

from corpusmill.tasks.ingestion.compiled import import_compiled

_INSTEAD = (
    "the cleaning rules are applied in plain Python, with the same results some 80 times slower"
)


def compiled() -> bool:
    """Whether the compiled kernels work here."""
    return all(
        import_compiled("cleaning", module, _INSTEAD) for module in ("kernels", "phrase_kernels")
    )
