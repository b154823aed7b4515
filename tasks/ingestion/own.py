"""Cleaning steps and readers of one's own: their protocols, and how they are loaded and checked."""

import inspect
from collections.abc import Iterable
from typing import Annotated, Any, BinaryIO, Protocol, cast

from pydantic import AfterValidator

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.extensions import OWN_ERRORS, in_short, load_own


class OwnStep(Protocol):
    """A cleaning step: a function, or a class whose instances, made once a process, are called.

    What it returns must depend on its arguments alone: documents come in any order, on any machine.
    """

    def __call__(self, text: str, language: str) -> str | tuple[None, str]:
        """Keeps a document by returning its text, edited or not; drops it by (None, reason).

        Args:
            text: valid Unicode with LF newlines and without NUL, as must be what is returned.
            language: ISO 639-1 code, or `und`.
        """


class OwnReader(Protocol):
    """A reader of files with a suffix of one's own."""

    def __call__(self, file: BinaryIO) -> Iterable[str]:
        """The text of each document of a file, in order; an error says that it is damaged.

        Args:
            file: its bytes, decompressed, from their beginning; it can be sought in.
        """


def load_step(name: str) -> OwnStep:
    """The step that `package.module:Name` names.

    Raises:
        ConfigError: not found, raises when it is imported or made, or is not called like a step.
    """
    found = load_own(name)
    if isinstance(found, type):
        try:
            found = found()
        except OWN_ERRORS as error:
            raise ConfigError(
                f"{name} raised {in_short(error)} when it was made; expected a class that is made "
                "without arguments; mend it."
            ) from error
    _check_call(name, found, ("text", "language"))
    return cast(OwnStep, found)


def load_reader(name: str) -> OwnReader:
    """The reader that `package.module:Name` names.

    Raises:
        ConfigError: not found, raises when it is imported, or is not called like a reader.
    """
    found = load_own(name)
    _check_call(name, found, ("file",))
    return cast(OwnReader, found)


def _step_name(name: str) -> str:
    load_step(name)
    return name


def _reader_name(name: str) -> str:
    load_reader(name)
    return name


StepName = Annotated[str, AfterValidator(_step_name)]
ReaderName = Annotated[str, AfterValidator(_reader_name)]


def _check_call(name: str, found: Any, arguments: tuple[str, ...]) -> None:
    expected = f"expected something to call as {name.rpartition(':')[2]}({', '.join(arguments)})"
    if not callable(found):
        raise ConfigError(f"{name} is a {type(found).__name__}; {expected}; correct the name.")
    try:
        inspect.signature(found).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is called otherwise ({error}); {expected}; mend it.") from error
