"""Files on other machines: a real web server that cuts connections, and a real S3 server."""

import base64
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusError, CorpusmillError
from corpusmill.tasks.ingestion.config import CorpusConfig, FileSource
from corpusmill.tasks.ingestion.sources import ResolvedSource, resolve

BIG = bytes(range(256)) * (20 << 12)  # 20 MiB: three requests


class WebServer(ThreadingHTTPServer):
    """Serves bytes from memory, with faults to order.

    Attributes:
        files: contents by path.
        gives_ranges: whether it can give a part of a file.
        cuts: how many more answers end in mid-file.
        status: what it answers instead of 200, where not 0.
        requests: (method, Range header) of each request.
        users: Authorization headers of the requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.gives_ranges = True
        self.cuts = self.status = 0
        self.requests: list[tuple[str, str | None]] = []
        self.users: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.command, wanted))
        self.server.users.add(self.headers.get("Authorization"))
        data = self.server.files.get(self.path.partition("?")[0])
        if data is None or self.server.status:
            self.send_error(self.server.status or 404)
            return
        etag = f'"{len(data)}-{data[:8].hex()}"'
        if wanted and self.server.gives_ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
        self.send_response(206 if wanted and self.server.gives_ranges else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", etag)
        self.end_headers()
        if body:
            if self.server.cuts and (not wanted or not wanted.startswith("bytes=0-")):
                self.server.cuts -= 1
                data = data[: len(data) // 2]
                self.close_connection = True
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _resolve(address: str, downloads: Path) -> ResolvedSource:
    return resolve(CorpusConfig(sources=(address,)), downloads)[0]


def _contents(source: ResolvedSource) -> dict[str, bytes]:
    return {file.name: file.path.read_bytes() for file in source.files}


# A web server


def test_a_file_of_a_web_server_is_copied_once(web: WebServer, tmp_path: Path) -> None:
    web.files["/data/x.txt"] = b"one"
    address = f"{web.address}/data/x.txt?version=1"
    source = _resolve(address, tmp_path)
    assert _contents(source) == {"data/x.txt": b"one"}
    assert source.name == "x.txt"
    web.requests.clear()
    assert _resolve(address, tmp_path) == source
    assert [method for method, _ in web.requests] == ["HEAD"]


def test_what_opens_an_address_is_used_and_not_shown(web: WebServer, tmp_path: Path) -> None:
    web.files["/data/x.txt"] = b"one"
    place = web.address.replace("://", "://me:hidden1@")
    address = f"{place}/data/x.txt?part=1&X-Amz-Signature=hidden2&token=hidden3"
    config = CorpusConfig(sources=(address, FileSource(files=address, licence="MIT")))
    source = resolve(config, tmp_path)[0]
    assert _contents(source) == {"data/x.txt": b"one"}
    assert web.users == {f"Basic {base64.b64encode(b'me:hidden1').decode()}"}
    said = [config.model_dump_json(), repr(source)]
    for status in (403, 404, 500):
        web.status = status
        with pytest.raises(CorpusmillError) as caught:
            resolve(config, tmp_path / str(status))
        said += traceback.format_exception(caught.value)
    with pytest.raises(ConfigError) as refused:
        parse(CorpusConfig, {"sources": [{"files": address, "pair": "x"}], "min_characters": -1})
    said += traceback.format_exception(refused.value)
    assert "hidden" not in "".join(said)
    assert "part=1&X-Amz-Signature=***&token=***" in said[0]


def test_a_file_that_changed_is_copied_again(web: WebServer, tmp_path: Path) -> None:
    web.files["/x.txt"] = b"one"
    _resolve(f"{web.address}/x.txt", tmp_path)
    web.files["/x.txt"] = b"two"
    assert list(_contents(_resolve(f"{web.address}/x.txt", tmp_path)).values()) == [b"two"]


def test_a_copy_has_a_name_that_file_systems_take(tmp_path: Path) -> None:
    (tmp_path / f"{'字' * 83}.txt").write_bytes(b"one")
    source = _resolve(f"file://{tmp_path}/*.txt", tmp_path / "downloads")
    assert list(_contents(source).values()) == [b"one"]


def test_a_download_goes_on_where_it_was_cut_off(web: WebServer, tmp_path: Path) -> None:
    web.files["/x.txt"] = BIG
    web.cuts = 1
    assert list(_contents(_resolve(f"{web.address}/x.txt", tmp_path)).values()) == [BIG]
    asked = [wanted for method, wanted in web.requests if method == "GET"]
    assert len(asked) == 4  # three parts, one of them twice
    assert sum(wanted is not None and wanted.startswith("bytes=0-") for wanted in asked) == 1


def test_the_next_run_goes_on_where_this_one_gave_up(web: WebServer, tmp_path: Path) -> None:
    web.files["/x.txt"] = BIG
    web.cuts = 100
    with pytest.raises(CorpusmillError, match="what has come already is kept") as caught:
        _resolve(f"{web.address}/x.txt", tmp_path)
    assert not isinstance(caught.value, CorpusError)
    assert [path.stat().st_size for path in tmp_path.glob("*/*.partial")] == [8 << 20]
    web.cuts = 0
    web.requests.clear()
    assert list(_contents(_resolve(f"{web.address}/x.txt", tmp_path)).values()) == [BIG]
    assert not any(wanted and wanted.startswith("bytes=0-") for _, wanted in web.requests)
    assert not list(tmp_path.glob("*/*.partial"))


def test_a_server_without_ranges_is_read_in_one_go(web: WebServer, tmp_path: Path) -> None:
    web.files["/x.txt"] = BIG
    web.gives_ranges = False
    web.cuts = 1
    assert list(_contents(_resolve(f"{web.address}/x.txt", tmp_path)).values()) == [BIG]


def test_links_of_a_page_stand_for_a_folder(web: WebServer, tmp_path: Path) -> None:
    web.files["/data/"] = b'<a href="a.txt">a</a> <a href="b.txt">b</a> <a href="c.doc">c</a>'
    web.files["/data/a.txt"], web.files["/data/b.txt"] = b"one", b"two"
    found = _contents(_resolve(f"{web.address}/data/*.txt", tmp_path))
    assert found == {"data/a.txt": b"one", "data/b.txt": b"two"}


def test_what_a_web_server_does_not_have_is_a_sentence(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not there"):
        _resolve(f"{web.address}/none.txt", tmp_path)
    web.files["/x.doc"] = b"x"
    with pytest.raises(CorpusError, match=r"suffix \.doc, which is not read"):
        _resolve(f"{web.address}/x.doc", tmp_path)
    web.status = 403
    with pytest.raises(CorpusError, match="may not be read"):
        _resolve(f"{web.address}/x.txt", tmp_path)


def test_a_server_that_fails_may_be_tried_again(web: WebServer, tmp_path: Path) -> None:
    web.status = 503
    with pytest.raises(CorpusmillError, match="503") as caught:
        _resolve(f"{web.address}/x.txt", tmp_path)
    assert not isinstance(caught.value, CorpusError)


def test_a_server_that_is_not_there_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match="check the network") as caught:
        _resolve("http://127.0.0.1:1/x.txt", tmp_path)
    assert not isinstance(caught.value, CorpusError)


def test_a_protocol_that_nobody_speaks_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="a protocol that fsspec does not know"):
        _resolve("gopher2://x/y.txt", tmp_path)


# An object store


@pytest.fixture
def bucket(s3: str) -> str:
    pytest.importorskip("s3fs")
    files = {"a.txt": b"one", "deep/b.jsonl": b"{}", "deep/c.doc": b"c", ".hidden/d.txt": b"d"}
    _put({f"mill/lib/{name}": data for name, data in files.items()})
    return "s3://mill"


def _put(objects: dict[str, bytes]) -> None:
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.makedirs("mill", exist_ok=True)
    store.pipe(objects)


def test_a_folder_of_an_object_store_stands_for_its_files(bucket: str, tmp_path: Path) -> None:
    source = _resolve(f"{bucket}/lib", tmp_path)
    assert _contents(source) == {"lib/a.txt": b"one", "lib/deep/b.jsonl": b"{}"}
    assert source.name == "lib"
    assert _resolve(f"{bucket}/lib", tmp_path) == source


def test_a_glob_reaches_subfolders_of_an_object_store(bucket: str, tmp_path: Path) -> None:
    found = _contents(_resolve(f"{bucket}/lib/**/*.[tj]*", tmp_path))
    assert list(found) == ["lib/a.txt", "lib/deep/b.jsonl"]


def test_an_object_that_changed_is_copied_again(bucket: str, tmp_path: Path) -> None:
    assert _contents(_resolve(f"{bucket}/lib/a.txt", tmp_path)) == {"lib/a.txt": b"one"}
    _put({"mill/lib/a.txt": b"two"})
    assert _contents(_resolve(f"{bucket}/lib/a.txt", tmp_path)) == {"lib/a.txt": b"two"}


def test_a_large_object_comes_in_parts(bucket: str, tmp_path: Path) -> None:
    _put({"mill/big/x.txt": BIG})
    assert _contents(_resolve(f"{bucket}/big/x.txt", tmp_path)) == {"big/x.txt": BIG}


def test_what_an_object_store_does_not_have_is_a_sentence(bucket: str, tmp_path: Path) -> None:
    for path in ("lib/none.txt", "lib/*.parquet", "none"):
        with pytest.raises(CorpusError, match=r"corpus\.sources"):
            _resolve(f"{bucket}/{path}", tmp_path)


def test_an_object_store_that_is_not_there_may_be_tried_again(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(CorpusmillError, match="check the network") as caught:
        _resolve("s3://mill/a.txt", tmp_path)
    assert not isinstance(caught.value, CorpusError)
