"""Files with a suffix that a reader of one's own reads."""

from collections.abc import Iterator
from typing import BinaryIO

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.extensions import OWN_ERRORS, in_short, loaded_own
from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, excerpt_of, place_of, size_of
from corpusmill.tasks.ingestion.fragments import Reading
from corpusmill.tasks.ingestion.readers.gathered import Found, gather
from corpusmill.tasks.ingestion.readers.sanitizer import Item, is_unicode
from corpusmill.tasks.ingestion.streams import DamageError

_UNIT = "document"


def read_own(file: BinaryIO, reading: Reading, name: str) -> Iterator[Item]:
    """The documents that the reader `package.module:Name` finds in a file.

    Raises:
        CorpusError: it gives something else than texts.
        DamageError: it raised, which says that the file is damaged.
    """
    yield from gather(_found(file, reading, name), reading, _UNIT)


def _found(file: BinaryIO, reading: Reading, name: str) -> Iterator[Found | Flaw]:
    given = 0
    try:
        texts = loaded_own(name)(file)
        if isinstance(texts, str):
            raise _no_texts(reading, name, "returned a str")
        for text in texts:
            if not isinstance(text, str):
                place = place_of(_UNIT, given + 1)
                raise _no_texts(reading, name, f"gave a {type(text).__name__} as {place}")
            given += 1
            if reading.config.on_bad_text == "repair" or is_unicode(text):
                yield Found(given, text)
            else:
                yield _half_a_pair(text, place_of(_UNIT, given), name)
    except CorpusError:
        raise
    except OWN_ERRORS as error:
        raise DamageError(
            Flaw(
                f"after {place_of(_UNIT, given)}" if given else WHOLE_FILE,
                "damaged",
                f"{name} raised {in_short(error)}, expected a file that it reads",
                "mend the reader or the file",
                "",
                # How much of it was read is unknown.
                None if given else 0,
            )
        ) from error


def _half_a_pair(text: str, place: str, name: str) -> Flaw:
    return Flaw(
        place,
        "bad_encoding",
        f"{name} gave half of a surrogate pair, expected Unicode",
        'mend the reader, or set corpus.on_bad_text="repair"',
        excerpt_of(text),
        size_of(text),
    )


def _no_texts(reading: Reading, name: str, finding: str) -> CorpusError:
    return CorpusError(
        f"{name} {finding} of {reading.file.name} in {reading.file.source}; expected it to yield "
        "the text of each document as a str; mend it, or take it out of corpus.readers."
    )
