"""Reads labelled examples by the readers that a corpus is read by."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from corpusmill.tasks.ingestion.batches import DocumentBatch, Flaw, excerpt_of
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.encodings import line_feeds
from corpusmill.tasks.ingestion.fragments import Columns, Fragment, unreadable
from corpusmill.tasks.ingestion.readers.fields import record_in
from corpusmill.tasks.ingestion.readers.reading import read
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.files import LabelledFile

_READING = CorpusConfig()


@dataclass(frozen=True, slots=True)
class Row:
    """One example as it was found.

    Attributes:
        text, pair: cleaned by `clean_text`; "" where there is none. `pair` is None where an example
            is one text.
        label: what stands there: a string, a number, a list, …; None where nothing does.
        place: file and row, in words.
    """

    text: str
    pair: str | None
    label: Any
    place: str


def read_rows(file: LabelledFile, config: ExamplesConfig) -> Iterator[Row | Flaw]:
    """The examples of a file, in order, and in the place of what cannot be read, its flaw.

    Memory holds one batch of records. What an archive holds beside files that are read is passed
    over.

    Raises:
        CorpusError: the file cannot be read, or changed meanwhile.
    """
    try:
        for item in read(Fragment(file.file), _READING):
            if isinstance(item, Flaw) and not item.apart:
                yield replace(item, place=f"{file.file.name}, {item.place}")
            elif isinstance(item, DocumentBatch):
                yield from _rows(item, file, config)
        file.file.check_unchanged()
    except OSError as error:
        raise unreadable(file.file.path, error) from error


def names_in(file: LabelledFile) -> list[str]:
    """The columns that there are, by the first record; none of a file without records."""
    columns = file.file.columns
    assert columns
    header = columns.header
    if header is None:
        header = not all(name.isdecimal() for name in columns.names)
    everything = replace(file.file, columns=Columns((), header))
    for item in read(Fragment(everything), _READING):
        if isinstance(item, DocumentBatch):
            return list(record_in(item.texts[0].as_py()) or ())
    return []


def clean_text(text: str) -> str:
    """A text in NFC, with LF newlines, without byte order marks, NUL and white space around it."""
    sound = text.replace("\ufeff", "").replace("\0", "").encode("utf-8", "replace")
    return unicodedata.normalize("NFC", line_feeds(sound).decode()).strip()


def _rows(batch: DocumentBatch, file: LabelledFile, config: ExamplesConfig) -> Iterator[Row | Flaw]:
    matches = re.compile(config.pattern).fullmatch if config.pattern else None
    for number, text in enumerate(batch.texts.to_pylist()):
        place = f"{batch.file}, {batch.place(number)}"
        record = record_in(text)
        if record is None and matches and text.strip():
            found = matches(text)
            if not found:
                yield _unmatched(place, text)
                continue
            record = found.groupdict()
        if record is None:
            # Neither a record nor a line of columns: the label is that of the file or its folder.
            record = {config.text: text, config.label: PurePosixPath(batch.file).parent.name}
        yield _row(record, file, config, place)


def _row(
    record: Mapping[str, Any], file: LabelledFile, config: ExamplesConfig, place: str
) -> Row | Flaw:
    texts = [record.get(name) for name in (config.text, config.text_pair) if name]
    odd = next((each for each in texts if isinstance(each, (list, dict))), None)
    if odd is not None:
        finding = f"found {excerpt_of(repr(odd))}, expected a text"
        return Flaw(place, "no_text", finding, "name another column", excerpt_of(repr(odd)))
    text, *pair = ("" if each is None else clean_text(str(each)) for each in texts)
    label = record.get(config.label) if file.label is None else file.label
    return Row(text, pair[0] if pair else None, label, place)


def _unmatched(place: str, line: str) -> Flaw:
    finding = "found a line that task.pattern does not match"
    return Flaw(place, "bad_record", finding, "mend the line or the pattern", excerpt_of(line))
