"""Batches of documents as Arrow columns, which readers yield and cleaning steps take and return.

Nothing on the way holds a Python object for each document. What cannot be read is yielded among the
batches, as a `Flaw`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.texts import offsets_of

_EXCERPT = 200
UNDETERMINED = "und"
WHOLE_FILE = "whole file"


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Some documents of one file, in order.

    Attributes:
        source: name of the source in the configuration.
        file: name of the file or dataset within it.
        texts: (documents,), valid UTF-8 with LF newlines, no null and no NUL character.
        unit: what `numbers` count: line, row, record, member, byte, …
        numbers: int64 (documents,): where in its file each document lies.
        languages: string (documents,): ISO 639-1 codes; `und` before they are identified.
    """

    source: str
    file: str
    texts: pa.LargeStringArray
    unit: str
    numbers: np.ndarray
    languages: pa.StringArray

    def __len__(self) -> int:
        return len(self.texts)

    def place(self, row: int) -> str:
        """Where document `row` lies in its file, in words."""
        return place_of(self.unit, int(self.numbers[row]))

    def filter(self, keep: np.ndarray) -> "DocumentBatch":
        """The documents whose `keep`, bool (documents,), is true."""
        if keep.all():
            return self
        mask = pa.array(keep)
        return replace(
            self,
            texts=self.texts.filter(mask),
            numbers=self.numbers[keep],
            languages=self.languages.filter(mask),
        )

    def with_texts(self, texts: pa.LargeStringArray) -> "DocumentBatch":
        """The same documents with other texts."""
        assert len(texts) == len(self)
        return replace(self, texts=texts)

    def byte_lengths(self) -> np.ndarray:
        """UTF-8 bytes of each document; int64 (documents,)."""
        lengths: np.ndarray = np.diff(offsets_of(self.texts))
        return lengths


@dataclass(frozen=True, slots=True)
class Flaw:
    """A document, or the rest of a file, that cannot be read.

    Attributes:
        place: where in its file.
        reason: bad_encoding, bad_json, no_text, truncated, too_long, bomb, damaged, …
        finding: what was found and expected, as the middle of a sentence.
        remedy: how to mend it, as the end of a sentence.
        excerpt: the beginning of what is there.
        bytes: how many were lost, counted after decompression and in UTF-8; None if unknown,
            because the end of the file is missing.
        documents: how many were lost; 1 if unknown.
        apart: the pattern of its name, such as `*.png`, if it is a file of a kind that is not read:
            it is counted and named, but neither refused nor counted as lost.
    """

    place: str
    reason: str
    finding: str
    remedy: str
    excerpt: str
    bytes: int | None = 0
    documents: int = 1
    apart: str = ""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A count of repairs of one kind made while reading, for the statistics.

    Attributes:
        name: `decoded.gb18030` (documents found to be in another encoding), `replaced_bytes`
            (bytes that became U+FFFD), `nul_removed` (characters), …
    """

    name: str
    count: int


def make_batch(
    source: str,
    file: str,
    texts: Sequence[str] | pa.Array,
    unit: str,
    numbers: Sequence[int] | np.ndarray,
) -> DocumentBatch:
    """A batch of these texts, whose languages are not determined yet."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    unknown = pa.repeat(pa.scalar(UNDETERMINED, pa.string()), len(array))
    return DocumentBatch(source, file, array, unit, np.asarray(numbers, np.int64), unknown)


def place_of(unit: str, number: int) -> str:
    """Where a document lies in its file, in words."""
    return unit if unit == WHOLE_FILE else f"{unit} {number}"


def size_of(text: str) -> int:
    """UTF-8 bytes of a text; a character that UTF-8 cannot encode counts as one."""
    return len(text.encode("utf-8", "replace"))


def excerpt_of(text: str) -> str:
    """The beginning of a text, for a sample; what UTF-8 cannot encode is escaped."""
    return text[:_EXCERPT].encode("utf-8", "backslashreplace").decode()
