"""Where the text of a corpus comes from: files, globs, folders, packages, servers and datasets.

Whatever the configuration names is resolved, before anything is read, to files on this machine
whose bytes are digested: the digests are part of the corpus's identity.
"""

import glob
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from storage.corpus.config import PACKAGE, CorpusConfig, DatasetSource, FileSource
from storage.corpus.pieces import SourceFile, unreadable
from storage.corpus.readers.formats import format_at, format_of
from storage.corpus.remote import download, find_remote, is_remote
from storage.corpus.spools import spool, spool_name
from storage.errors import CorpusError
from storage.manifest import digest_file, digest_json

_CONNECTIONS = 8
_SUPPORTED = (
    ".txt, .md, .html, .jsonl, .json, .csv, .tsv, .parquet, .arrow, .warc, .wet or .xml, plain or "
    "as .gz, .zst, .bz2 or .xz, or a .zip or .tar of them"
)


@dataclass(frozen=True)
class ResolvedSource:
    """A source of the configuration with its files.

    Attributes:
        name: unique among the sources.
        licence: an SPDX identifier or a name, where one was given.
        files: sorted by name, without those that an earlier source reads already in the same way.
        pairs: whether its documents are pairs.
        held_out: whether all of it is for validation.
    """

    name: str
    licence: str | None
    files: tuple[SourceFile, ...]
    pairs: bool = False
    held_out: bool = False


def resolve(config: CorpusConfig, downloads: Path) -> list[ResolvedSource]:
    """Finds and digests everything the sources name, in their order.

    Files of other machines are copied, and datasets written, into the folder `downloads`, unless
    they are there. What is held out comes first, so that of equal documents it is the one that is
    kept. A file that is reached twice counts once, for the source that comes first, unless the
    second reads it in another way: by other fields, say.

    Raises:
        CorpusError: a source that does not exist, matches nothing or has an unsupported suffix.
        CorpusmillError: a server that cannot be reached; a retry may help.
    """
    sources = [FileSource(files=s) if isinstance(s, str) else s for s in config.sources]
    seen: set[tuple[object, ...]] = set()
    resolved = []
    named = zip(sources, _unique_names(sources), strict=True)
    for source, name in sorted(named, key=lambda each: not each[0].held_out):
        found, reading = [], _reading(source, config)
        for path, called in _find(source, config, downloads):
            key = (path.resolve(), *reading.values())
            if key not in seen:
                seen.add(key)
                found.append((path, called))
        digested = partial(_digested, name, reading)
        with ThreadPoolExecutor() as threads:  # hashlib does not hold the interpreter's lock
            files = list(threads.map(digested, found))
        # The digest parts files of one name, since the path would tie the order to this machine.
        files.sort(key=lambda file: (file.name, file.digest))
        traits = {"pairs": source.pair is not None, "held_out": source.held_out}
        resolved.append(ResolvedSource(name, source.licence, tuple(files), **traits))
    return resolved


def digest_sources(sources: Sequence[ResolvedSource]) -> str:
    """One digest of names, licences, contents and how they are read, in order."""
    return digest_json(
        [
            [s.name, s.licence, [_identity(file) for file in s.files], *["held out"][: s.held_out]]
            for s in sources
        ]
    )


def _identity(file: SourceFile) -> list[object]:
    return [file.name, file.digest, *file.manner]


def _reading(source: FileSource | DatasetSource, config: CorpusConfig) -> dict[str, Any]:
    own = source.model_dump()
    keys = ("text_field", "encoding", "text_unit")
    reading = {key: own.get(key) or getattr(config, key) for key in keys}
    return reading | {"pair": source.pair, "quoted": own.get("quoted")}


def _digested(source: str, reading: Mapping[str, Any], found: tuple[Path, str]) -> SourceFile:
    path, name = found
    try:
        status = path.stat()
        digest, form = digest_file(path), format_at(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return SourceFile(
        source, name, path, status.st_size, digest, status.st_mtime_ns, form, **reading
    )


def _find(
    source: FileSource | DatasetSource, config: CorpusConfig, downloads: Path
) -> list[tuple[Path, str]]:
    """The files of one source on this machine with their names, sorted."""
    if isinstance(source, DatasetSource):
        fields = source.pair or (source.text_field or config.text_field,)
        path = spool(source, fields, downloads)
        return [(path, spool_name(source))]
    if is_remote(source.files):
        return _fetch(source.files, downloads)
    return _find_here(source.files)


def _fetch(address: str, downloads: Path) -> list[tuple[Path, str]]:
    found, is_folder = find_remote(address)
    if is_folder:
        found = [file for file in found if format_of(file.name)]
    _check_formats(address, [file.name for file in found])
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        paths = threads.map(lambda file: download(file, downloads), found)
        return [(path, file.name) for path, file in zip(paths, found, strict=True)]


def _find_here(files: str) -> list[tuple[Path, str]]:
    if files.startswith(PACKAGE):
        base, pattern = _package(files)
        top = base.parent
    else:
        base, pattern = _fixed_part(_expanded(files))
        top = (base.parent if base.is_file() else base).parent
    if not base.exists():
        raise CorpusError(
            f"{files} does not exist ({base} is not there); expected a file, a folder or a glob; "
            "correct corpus.sources."
        )
    chosen = sorted(_matches(base, pattern))
    _check_formats(files, [str(path) for path in chosen])
    return [(path, _printable(path.relative_to(top))) for path in chosen]


def _expanded(files: str) -> Path:
    try:
        return Path(files).expanduser()
    except RuntimeError as error:
        raise CorpusError(
            f"{files} leads to the home of no user ({error}); expected an absolute path; "
            "correct corpus.sources."
        ) from error


def _check_formats(files: str, names: Iterable[str]) -> None:
    names = list(names)
    if not names:
        raise CorpusError(
            f"{files} leads to no file; expected at least one {_SUPPORTED}; correct corpus.sources."
        )
    for name in names:
        if format_of(name) is None:
            raise CorpusError(
                f"{name} has a suffix that is not read; expected {_SUPPORTED}; "
                "convert it, or narrow corpus.sources."
            )


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
            if format_of(path.name):
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


def _package(files: str) -> tuple[Path, str]:
    name, _, pattern = files.removeprefix(PACKAGE).partition("/")
    # find_spec would import the parent of a dotted name.
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(
            f"{files} names the package {name!r}, which is not installed; expected "
            f"{PACKAGE}NAME/GLOB of a top-level package; install it or correct corpus.sources."
        )
    return Path(next(iter(spec.submodule_search_locations))), pattern


def _unique_names(sources: Sequence[FileSource | DatasetSource]) -> list[str]:
    """The names given, and for the others the last part of what they lead to, numbered if taken."""
    taken = {source.name for source in sources if source.name}
    names = []
    for source in sources:
        base = name = source.name or _last_part(source)
        number = 2
        while not source.name and name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def _last_part(source: FileSource | DatasetSource) -> str:
    address = source.dataset if isinstance(source, DatasetSource) else source.files
    if is_remote(address):
        address = re.sub(r"[?#].*$", "", address.partition("://")[2])
    parts = PurePosixPath(address.removeprefix(PACKAGE)).parts
    plain = [part for part in parts if part != "/" and not any(c in part for c in "*?[")]
    return _printable(Path(plain[-1])) if plain else "text"


def _printable(path: Path) -> str:
    """A name that UTF-8 can hold: file names may be any bytes."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
