"""Which way the rules are applied: compiled by numba where it works, plain Python otherwise."""

from corpusmill.tasks.ingestion.compiled import import_compiled

_INSTEAD = (
    "the cleaning rules are applied in plain Python, with the same results some 80 times slower"
)


def compiled() -> bool:
    """Whether the compiled kernels work here."""
    return all(
        import_compiled("cleaning", module, _INSTEAD) for module in ("kernels", "phrase_kernels")
    )
