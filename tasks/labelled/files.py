"""The files of each side on this machine, digested, and how each holds its examples."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.schema import SIDES, Side
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.ingestion.fragments import Columns, SourceFile
from corpusmill.tasks.ingestion.readers.formats import Format
from corpusmill.tasks.ingestion.sources import resolve
from corpusmill.tasks.labelled.config import ExamplesConfig, entries_of


@dataclass(frozen=True)
class LabelledFile:
    """A file of examples.

    Attributes:
        side: that its examples are on, or are cut off from.
        file: how it is read.
        label: of all of them, where it is given.
    """

    side: Side
    file: SourceFile
    label: str | None

    @property
    def identity(self) -> list[object]:
        """What of it decides the examples, beside the configuration."""
        return [self.side, self.label, self.file.name, self.file.digest, self.file.format.kind]


def find_files(
    config: ExamplesConfig, downloads: Path, index: Path | None = None
) -> list[LabelledFile]:
    """Finds and digests the files of all sides, in the order they are named in.

    Args:
        downloads: folder for copies of files of other machines.
        index: where digests are kept of files that were read before.

    Raises:
        CorpusError: a path that does not exist or leads to nothing that is read.
        CorpusmillError: a server that cannot be reached; a retry may help.
    """
    return [file for side in SIDES for file in _files_of(config, side, downloads, index)]


def _files_of(
    config: ExamplesConfig, side: Side, downloads: Path, index: Path | None
) -> Iterator[LabelledFile]:
    files = config.files_of(side)
    for label, address in entries_of(files) if files is not None else ():
        source = FileSource(
            files=address,
            encoding=config.encoding,
            quoted=config.quoted,
            text_unit="line" if config.pattern else config.text_unit,
        )
        try:
            (found,) = resolve(CorpusConfig(sources=(source,)), downloads, index)
        except CorpusError as error:
            # The sources of a corpus are found in the same way, under another name.
            raise CorpusError(str(error).replace("corpus.sources", f"task.{side}")) from error
        wanted = [name for name in config.columns if label is None or name != config.label]
        columns = Columns(tuple(wanted), config.header)
        for file in found.files:
            how = _tabular(file, address, config, label)
            yield LabelledFile(side, replace(how, columns=columns), label)


def _tabular(
    file: SourceFile, address: str, config: ExamplesConfig, label: str | None
) -> SourceFile:
    """The file; a .txt that is named by itself, and neither labelled nor matched, has columns."""
    alone = PurePosixPath(address).name == PurePosixPath(file.name).name
    if file.format.kind != "text" or config.pattern or label is not None or not alone:
        return file
    return replace(file, format=Format("tsv", file.format.compression))
