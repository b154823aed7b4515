"""What a reader is given: a file of a source, or a fragment of a file that can be cut."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.manifest import digest_json
from corpusmill.tasks.ingestion.config import CorpusConfig, TextUnit
from corpusmill.tasks.ingestion.readers.formats import Format


@dataclass(frozen=True)
class Columns:
    """Which fields of a record are wanted as they are, where a record is more than a text.

    Attributes:
        names: `outer.inner` is a field of a nested object, a number, from 0, a column of a .csv or
            .tsv whose first line names none so; every field where empty. One that is not there is
            null.
        header: whether the first line of a .csv or .tsv names its columns; where it is None, it
            does unless all `names` are numbers, and it does not hold them.
    """

    names: tuple[str, ...]
    header: bool | None = None


@dataclass(frozen=True)
class SourceFile:
    """A file to read, on this machine, digested.

    Attributes:
        source: name of its source.
        name: how the corpus calls it: its path from the folder of the source on, so that the name
            does not depend on where that folder lies.
        path: where it lies now.
        size: bytes, as they lie there.
        digest: of its bytes.
        modified: time of change in ns when it was digested.
        format: what is in it.
        text_field, encoding, text_unit: how it is read; several fields make one document.
        pair: the fields with source and target, where it holds pairs.
        quoted: whether fields of .csv and .tsv may stand in quotation marks; None for the usual.
        columns: where records are wanted, and not texts: each record of a format with fields is
            then a document of `corpusmill.tasks.ingestion.readers.fields.record_text`.
    """

    source: str
    name: str
    path: Path
    size: int
    digest: str
    modified: int
    format: Format
    text_field: str | tuple[str, ...]
    encoding: str
    text_unit: TextUnit
    pair: tuple[str, str] | None = None
    quoted: bool | None = None
    columns: Columns | None = None

    @property
    def manner(self) -> list[object]:
        """How it is read, for digests."""
        return [self.text_field, self.encoding, self.text_unit, self.pair, self.quoted]

    @property
    def identity(self) -> bytes:
        """Digest of its bytes and of how they are read."""
        return file_identity(self.digest, self.manner)

    def check_unchanged(self) -> None:
        """Raises CorpusError if the file was written to since it was digested."""
        status = self.path.stat()
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified):
            raise CorpusError(
                f"{self.path} changed while it was read; expected a file that nothing writes to; "
                "start again once it is complete."
            )


@dataclass(frozen=True)
class Fragment:
    """A file, or a range of it: bytes of text, row groups or record batches of a table.

    A fragment of text begins after the first line end at or after `start` (unless that is 0) and
    ends with the first line end at or after `stop`, so that fragments meet without gap or overlap.

    Attributes:
        file: the file.
        start, stop: the range; to the end of the file if `stop` is None.
        size: approximate bytes on disk; None for a whole file.
    """

    file: SourceFile
    start: int = 0
    stop: int | None = None
    size: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes on disk; approximate for a fragment of a table."""
        return self.file.size if self.size is None else self.size


@dataclass(frozen=True)
class Reading:
    """What every reader is given beside its stream of (decompressed) bytes."""

    fragment: Fragment
    config: CorpusConfig

    @property
    def file(self) -> SourceFile:
        return self.fragment.file


def file_identity(digest: str, manner: Iterable[object]) -> bytes:
    """Digest of the bytes of a file and of how they are read; 16 bytes."""
    return bytes.fromhex(digest_json([digest, *manner]))


def unreadable(path: Path, error: OSError) -> CorpusError:
    """The error to raise for a file that the operating system cannot read."""
    return CorpusError(
        f"{path} cannot be read ({error.strerror or error}); expected a readable file; "
        "mend its permissions or its disk, or take it out of corpus.sources."
    )
