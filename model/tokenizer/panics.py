"""Panics of libraries written in Rust."""

from collections.abc import Iterator
from contextlib import contextmanager

from corpusmill.storage.errors import ModelError


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Within, a panic, which Python sees as neither Exception nor exit, is a RuntimeError."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as panic:
        raise RuntimeError(f"panic: {panic}") from panic


@contextmanager
def tokenizer_refused(what: str) -> Iterator[None]:
    """Within, a panic of `tokenizers`, and what it says of a tokenizer's fault, is a ModelError.

    Args:
        what: the tokenizer does not do, for the sentence.
    """
    try:
        with panics_as_errors():
            yield
    except Exception as error:
        # The library raises bare Exceptions.
        if type(error) not in (Exception, RuntimeError):
            raise
        raise ModelError(
            f"The tokenizer does not {what} ({first_line(error)}); expected one that takes any "
            "text: mend its tokenizer.json, or take another."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
