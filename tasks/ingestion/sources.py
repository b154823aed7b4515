"""Where the text of a corpus comes from: files, globs, folders, packages, servers and datasets.

Whatever the configuration names is resolved, before anything is read, to files on this machine
whose bytes are digested: the digests are part of the corpus's identity.
"""

import importlib.util
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from corpusmill.storage.addresses import shown
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.file_index import digest_files
from corpusmill.storage.manifest import digest_json
from corpusmill.tasks.ingestion.config import PACKAGE, CorpusConfig, DatasetSource, FileSource
from corpusmill.tasks.ingestion.fragments import SourceFile, file_identity, unreadable
from corpusmill.tasks.ingestion.materialized import materialize, materialized_name
from corpusmill.tasks.ingestion.patterns import matching
from corpusmill.tasks.ingestion.readers.flaws import not_read
from corpusmill.tasks.ingestion.readers.formats import SUPPORTED, format_at, is_read
from corpusmill.tasks.ingestion.remote import download, find_remote, is_remote

_CONNECTIONS = 8
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ApartFile:
    """A file that a folder or a glob leads to and whose kind is not read.

    Attributes:
        name: how the corpus would call it.
        address: where it lies.
        size: bytes; 0 where a server does not tell.
    """

    name: str
    address: str
    size: int


@dataclass(frozen=True)
class ResolvedSource:
    """A source of the configuration with its files.

    Attributes:
        name: unique among the sources.
        licence: an SPDX identifier or a name, where one was given.
        files: sorted by name, without those that an earlier source reads already in the same way.
        pairs: whether its documents are pairs.
        held_out: whether all of it is for validation.
        apart: files of kinds that are not read that its folder or glob leads to, sorted by name.
        gone: why it leads to nothing any more; empty as long as it does.
    """

    name: str
    licence: str | None
    files: tuple[SourceFile, ...]
    pairs: bool = False
    held_out: bool = False
    apart: tuple[ApartFile, ...] = ()
    gone: str = ""


def resolve(
    config: CorpusConfig,
    downloads: Path,
    index: Path | None = None,
    met: Collection[bytes] | None = None,
) -> list[ResolvedSource]:
    """Finds and digests everything the sources name, in their order.

    Files of other machines are copied, and datasets written, into the folder `downloads`, unless
    they are there. What is held out comes first, so that of equal documents it is the one that is
    kept. A file that is reached twice counts once, for the source that comes first, unless the
    second reads it in another way: by other fields, say.

    Args:
        index: where digests are kept of files that were read before.
        met: digests (`SourceFile.identity`) of files that are left out. Where it is given, sources
            may have gone, and come back without files.

    Raises:
        CorpusError: a source that does not exist, or leads to nothing that is read.
        CorpusmillError: a server that cannot be reached; a retry may help.
    """
    sources = [FileSource(files=s) if isinstance(s, str) else s for s in config.sources]
    seen, passed = set[tuple[object, ...]](), set[str]()
    resolved = []
    named = zip(sources, _unique_names(sources), strict=True)
    for source, name in sorted(named, key=lambda each: not each[0].held_out):
        found, reading = [], _reading(source, config)
        try:
            readable, others = _find(source, config, downloads)
        except CorpusError as error:
            if met is None:
                raise
            _LOGGER.warning("the source %s is left out: %s", name, error)
            resolved.append(ResolvedSource(name, source.licence, (), gone=str(error)))
            continue
        for path, called in readable:
            key = (path.resolve(), *reading.values())
            if key not in seen:
                seen.add(key)
                found.append((path, called))
        files = _digested(name, found, reading, config.readers, index, met or ())
        # What is not read was reported when the rest of its source was met first.
        others = others if met is None else []
        apart = {file.address: file for file in others if file.address not in passed}
        passed.update(apart)
        is_pairs, held_out = source.pair is not None, source.held_out
        resolved.append(
            ResolvedSource(name, source.licence, files, is_pairs, held_out, tuple(apart.values()))
        )
    return resolved


def digest_sources(sources: Sequence[ResolvedSource]) -> str:
    """One digest of names, licences, contents and how they are read, in order."""
    return digest_json([_identity(source) for source in sources])


def _identity(source: ResolvedSource) -> list[object]:
    files = [[file.name, file.digest, *file.manner] for file in source.files]
    apart = [[file.name, file.size] for file in source.apart]
    return [source.name, source.licence, files, apart, *["held out"][: source.held_out]]


def _reading(source: FileSource | DatasetSource, config: CorpusConfig) -> dict[str, Any]:
    own = source.model_dump()
    keys = ("text_field", "encoding", "text_unit")
    reading = {key: own.get(key) or getattr(config, key) for key in keys}
    return reading | {"pair": source.pair, "quoted": own.get("quoted")}


def _digested(
    source: str,
    found: Sequence[tuple[Path, str]],
    reading: Mapping[str, Any],
    own: Collection[str],
    index: Path | None,
    met: Collection[bytes],
) -> tuple[SourceFile, ...]:
    """Files that were not met, sorted by name."""
    names = dict(found)
    try:
        files = [
            SourceFile(
                source,
                names[each.path],
                each.path,
                each.size,
                each.digest,
                each.modified,
                format_at(each.path, own),
                **reading,
            )
            for each in digest_files(index, [path for path, _ in found])
            if not met or file_identity(each.digest, reading.values()) not in met
        ]
    except OSError as error:
        raise unreadable(Path(error.filename or found[0][0]), error) from error
    # Files of one name are ordered by digest: their paths differ from machine to machine.
    return tuple(sorted(files, key=lambda file: (file.name, file.digest)))


def _find(
    source: FileSource | DatasetSource, config: CorpusConfig, downloads: Path
) -> tuple[list[tuple[Path, str]], list[ApartFile]]:
    """The files of one source on this machine with their names, sorted, and those not read."""
    if isinstance(source, DatasetSource):
        own = source.text_field or config.text_field
        fields = source.pair or ((own,) if isinstance(own, str) else own)
        path = materialize(source, fields, downloads)
        return [(path, materialized_name(source))], []
    if is_remote(source.files):
        return _fetch(source.files, downloads, config.readers)
    try:
        return _find_here(source.files, config.readers)
    except OSError as error:
        raise unreadable(Path(error.filename or source.files), error) from error


def _fetch(
    address: str, downloads: Path, own: Collection[str]
) -> tuple[list[tuple[Path, str]], list[ApartFile]]:
    found = find_remote(address)
    wanted = [file for file in found if is_read(file.name, own)]
    others = [file for file in found if not is_read(file.name, own)]
    apart = [ApartFile(file.name, shown(file.address), file.size or 0) for file in others]
    _check_any(shown(address), bool(wanted), apart)
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        paths = threads.map(lambda file: download(file, downloads), wanted)
        return [(path, file.name) for path, file in zip(paths, wanted, strict=True)], apart


def _find_here(files: str, own: Collection[str]) -> tuple[list[tuple[Path, str]], list[ApartFile]]:
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
    found = [(path, _printable(path.relative_to(top))) for path in sorted(_matches(base, pattern))]
    readable = [(path, name) for path, name in found if is_read(name, own)]
    others = [(path, name) for path, name in found if not is_read(name, own)]
    apart = [ApartFile(name, str(path.resolve()), path.stat().st_size) for path, name in others]
    _check_any(files, bool(readable), apart)
    return readable, apart


def _expanded(files: str) -> Path:
    try:
        return Path(files).expanduser()
    except RuntimeError as error:
        raise CorpusError(
            f"{files} leads to the home of no user ({error}); expected an absolute path; "
            "correct corpus.sources."
        ) from error


def _check_any(files: str, is_any_read: bool, apart: Sequence[ApartFile]) -> None:
    """Raises CorpusError where a source leads to nothing that is read."""
    if is_any_read:
        return
    if not apart:
        raise CorpusError(
            f"{files} leads to no file; expected at least one {SUPPORTED}; correct corpus.sources."
        )
    flaw = not_read("", apart[0].name, apart[0].size)
    others = f", nor is any other of its {len(apart)} files" if len(apart) > 1 else ""
    raise CorpusError(f"{apart[0].name}: {flaw.finding}{others}; {flaw.remedy}.")


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    if base.is_file() and not pattern:
        yield base
    else:
        yield from matching(base, pattern or "**")


def _fixed_part(path: Path) -> tuple[Path, str]:
    """Splits a path before its first wildcard; the name of an existing folder `[x]` is none."""
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
        address = re.sub(r"^[^/]*@|[?#].*$", "", address.partition("://")[2])
    parts = PurePosixPath(address.removeprefix(PACKAGE)).parts
    plain = [part for part in parts if part != "/" and not any(c in part for c in "*?[")]
    return _printable(Path(plain[-1])) if plain else "text"


def _printable(path: Path) -> str:
    """A name that UTF-8 can encode: file names may be any bytes."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
