"""Files on other machines: found by their addresses, and copied here once through fsspec.

A copy lies at `downloads/<digest of address and version>/<name>`. The version is what the server
says of the file: size and entity tag or time of change; where it says neither, a change that keeps
the size is not seen. A download that was cut off goes on where it ended.
"""

import fcntl
import os
import re
import shutil
import time
import traceback
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from corpusmill.storage.addresses import shown
from corpusmill.storage.errors import CorpusError, CorpusmillError
from corpusmill.storage.manifest import digest_json

_CHUNK = 8 << 20
_TRIES = 4
_PAUSE_SECONDS = 0.25
_NAME_BYTES = 120
_TAGS = ("ETag", "etag")
_TIMES = ("mtime", "LastModified", "Last-Modified", "updated")
_AROUND = r"^https?://(?:[^/?#]*@)?|[?#].*$"
_EXTRAS = {"s3": "s3", "s3a": "s3"}


@dataclass(frozen=True)
class RemoteFile:
    """A file on another machine.

    Attributes:
        address: as one could write it into corpus.sources.
        name: how the corpus calls it, from the folder of the source on.
        system: the fsspec file system it lies in.
        path: its path in that file system.
        size: bytes; None if the server does not say.
        version: what the server says of the file that changes with its contents.
    """

    address: str
    name: str
    system: Any
    path: str
    size: int | None
    version: str


def is_remote(files: str) -> bool:
    """Whether a source is an address, such as https://… or s3://…"""
    return "://" in files


def find_remote(address: str) -> list[RemoteFile]:
    """The files an address, a glob or a folder of an object store leads to, sorted by name.

    Raises:
        CorpusError: nothing there, no right to read it, or a protocol without its package.
        CorpusmillError: the server cannot be reached; a retry may help.
    """
    try:
        return _find(address)
    except Exception as error:  # every file system of fsspec has errors of its own
        raise _said(address, error) from _cause(error)


def download(remote: RemoteFile, downloads: Path) -> Path:
    """The copy of a file under `downloads`, made now unless this version of it is there.

    Raises:
        CorpusError: the file is gone or may not be read.
        CorpusmillError: the connection failed several times in a row, or the file changed
            meanwhile; a retry goes on where this one ended.
    """
    folder = downloads / digest_json([remote.address, remote.version])
    # File systems count a name in bytes, of which a character may have four.
    end = os.fsencode(PurePosixPath(remote.name).name)[-_NAME_BYTES:]
    copy = folder / end.decode("utf-8", "ignore")
    if copy.exists():
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{copy.name}.partial"
    with partial.open("ab") as file:
        # Whoever waited here for another flow finds its copy.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not copy.exists():
            _fill(remote, file)
            _check_version(remote)
            os.fsync(file.fileno())
            partial.replace(copy)
    return copy


def _find(address: str) -> list[RemoteFile]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address, **_options(address))
    fixed = re.split(r"[*\[]" if _is_http(address) else r"[*?\[]", path, maxsplit=1)[0]
    is_folder = fixed == path and not _is_http(address) and system.isdir(path)
    if fixed != path:
        fixed = fixed.rpartition("/")[0]
        infos = system.glob(path, detail=True)
    elif is_folder:
        infos = system.find(path, detail=True)
    else:
        infos = {path: system.info(path)}
    base = _plain(fixed)
    top = base.parent if fixed != path or is_folder else base.parent.parent
    found = []
    for each, info in infos.items():
        inner = _plain(each).relative_to(base)
        if info["type"] != "file" or each.endswith("/"):
            continue
        if any(part.startswith(".") for part in inner.parts) and "/." not in address:
            continue
        found.append(_remote_file(system, each, info, str(_plain(each).relative_to(top))))
    return sorted(found, key=lambda file: file.name)


def _remote_file(system: Any, path: str, info: dict[str, Any], name: str) -> RemoteFile:
    address = system.unstrip_protocol(path)
    if _is_http(address) and not any(key in info for key in _TAGS):
        info = system.info(path)  # what lists a folder of a web server knows names only
    return RemoteFile(address, name, system, path, info.get("size"), _version(info))


def _version(info: dict[str, Any]) -> str:
    # A listing may give the time of change more exactly than the file itself does.
    keys = [key for key in _TAGS if info.get(key)] or _TIMES
    return digest_json([[key, str(info.get(key))] for key in ("size", *keys)])


def _options(address: str) -> dict[str, Any]:
    # A listing from before would hide what has changed since.
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if _is_http(address):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=30, sock_read=60)
        options["client_kwargs"] = {"trust_env": True, "timeout": timeout}
    return options


def _is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _plain(path: str) -> PurePosixPath:
    """The path without protocol, user and query."""
    return PurePosixPath(re.sub(_AROUND, "", path) if _is_http(path) else path)


def _fill(remote: RemoteFile, file: IO[bytes]) -> None:
    """Appends what is missing; gives up after several failures without a byte between them."""
    failures = reached = 0
    while True:
        try:
            _append(remote, file)
            if remote.size is not None and file.tell() != remote.size:
                raise ConnectionError(f"{file.tell():,} of {remote.size:,} bytes came")
            return
        except Exception as error:
            said = _said(remote.address, error)
            failures = 1 if file.tell() > reached else failures + 1
            reached = max(reached, file.tell())
            if isinstance(said, CorpusError) or failures == _TRIES:
                file.flush()
                raise said from _cause(error)
            if remote.size is not None and file.tell() > remote.size:
                file.truncate(0)
            time.sleep(_PAUSE_SECONDS * 2**failures)


def _append(remote: RemoteFile, file: IO[bytes]) -> None:
    start = file.seek(0, os.SEEK_END)
    if remote.size == start:
        return
    try:
        with remote.system.open(remote.path, "rb", block_size=_CHUNK, cache_type="none") as stream:
            if start:
                stream.seek(start)
            shutil.copyfileobj(stream, file, _CHUNK)
    except ValueError:
        # Raised if the server does not support ranges: the file is read from its start, in one go.
        file.truncate(0)
        file.seek(0)
        with remote.system.open(remote.path, "rb", block_size=0) as stream:
            shutil.copyfileobj(stream, file, _CHUNK)


def _check_version(remote: RemoteFile) -> None:
    if remote.size is not None and remote.size <= _CHUNK:
        return  # one request fetched all of it
    if _version(remote.system.info(remote.path)) != remote.version:
        raise CorpusmillError(
            f"{shown(remote.address)} changed while it was fetched; expected a file that nothing "
            "writes to; start again once it is complete."
        )


def _cause(error: Exception) -> Exception | None:
    """The error, to be raised from; None if its traceback shows a password or a signature."""
    said = "".join(traceback.format_exception(error))
    return error if shown(said) == said else None


def _said(address: str, error: Exception) -> CorpusmillError:
    """The error to raise for one of fsspec or of a package under it."""
    said = _sentence(address, error)
    return type(said)(shown(str(said)))


def _sentence(address: str, error: Exception) -> CorpusmillError:
    if isinstance(error, CorpusmillError):
        return error
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else error
    status = getattr(cause, "status", None)
    protocol = address.partition("://")[0]
    if isinstance(error, ImportError):
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'corpusmill[{extra}]'" if extra else "install it"
        return CorpusError(
            f"{address} needs a package that is not installed ({error}); expected the one that "
            f"fsspec opens {protocol}:// with; {remedy}."
        )
    if isinstance(error, ValueError) and "Protocol not known" in str(error):
        return CorpusError(
            f"{address} has a protocol that fsspec does not know; expected one such as https://, "
            "s3:// or gs://; correct corpus.sources."
        )
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__ or status == 403:
        return CorpusError(
            f"{address} may not be read ({error}); expected credentials that allow it, by the "
            f"usual variables of {protocol}; set them, or take it out of corpus.sources."
        )
    if isinstance(error, FileNotFoundError) and (cause is None or status in (404, 410)):
        return CorpusError(
            f"{address} is not there; expected a file, a folder or a glob; correct corpus.sources."
        )
    reason = cause if cause is not None and str(cause) else type(error).__name__
    return CorpusmillError(
        f"{address} cannot be fetched ({reason}); expected a server that answers; check the "
        "network and start again: what has come already is kept."
    )
