"""The middleware before a small application: who is let through, how a browser gets a cookie."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from corpusmill.storage.errors import StackError
from corpusmill.tasks.stack.authentication import (
    FREE,
    KeyMiddleware,
    authorization,
    link,
    new_key,
    read_key,
)

KEY = "a-key-of-forty-three-letters-for-these-tests"
HERE = "http://127.0.0.1:4200"
SOCKET = "ws://127.0.0.1:4200/api/events/out"


async def _say(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"inside {request.url.path}")


async def _greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("inside")
    await websocket.close()


def browser(**cookies: str) -> TestClient:
    """A client before a new middleware; without cookies it is a stranger."""
    routes = [
        WebSocketRoute("/api/events/out", _greet),
        Route("/{path:path}", _say, methods=["GET", "POST", "OPTIONS"]),
    ]
    # As Prefect's own application answers.
    anyone = Middleware(CORSMiddleware, allow_origins=["*"])
    middleware = KeyMiddleware(Starlette(routes=routes, middleware=[anyone]), 4200, KEY)
    named = {name.replace("_", "-"): value for name, value in cookies.items()}
    return TestClient(middleware, HERE, cookies=named, follow_redirects=False)


@pytest.fixture
def known() -> TestClient:
    return browser(corpusmill_4200=KEY)


def test_a_stranger_learns_only_whether_the_server_is_well() -> None:
    assert browser().get("/api/health").text == "inside /api/health"
    for path in ("/", "/api/flows/count", f"/?key={KEY}x", f"/api/flows?key={KEY}", "/?key="):
        assert browser().get(path).status_code == 403, path


@pytest.mark.parametrize("shown", ["Basic", "Basic ", authorization(""), authorization(KEY[:-1])])
def test_no_part_of_a_key_is_enough(shown: str) -> None:
    assert browser().get("/api", headers={"authorization": shown}).status_code == 403


def test_a_program_shows_the_key_in_a_header() -> None:
    answer = browser().post("/api/flows", headers={"authorization": authorization(KEY)})
    assert answer.text == "inside /api/flows"


def test_the_link_leaves_a_cookie_that_no_script_and_no_other_site_has() -> None:
    client = browser()
    answer = client.get(link("", KEY))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert client.get("/runs").text == "inside /runs"


@pytest.mark.parametrize(
    ("page", "seen"),
    [("/runs/flow-run/1", "/runs/flow-run/1"), ("/#/experiments/1?workflowType=x", "/")],
)
def test_the_link_to_a_page_leads_there(page: str, seen: str) -> None:
    address = link(HERE + page, KEY)
    # A browser keeps what follows the mark for itself, through the redirect too.
    assert address.partition("#")[2] == page.partition("#")[2]
    assert browser().get(address).headers["location"] == seen


@pytest.mark.parametrize("to", ["//evil.example/x", "/\\evil.example", "/x%0d%0aset-cookie:y"])
def test_a_link_leads_to_no_other_server(to: str) -> None:
    answer = browser().get(f"/?key={KEY}&to={to}")
    assert answer.headers["location"][:2] != "//" and "\\" not in answer.headers["location"]
    assert answer.headers["set-cookie"].startswith("corpusmill-4200=")


def test_the_cookie_of_another_port_is_no_key() -> None:
    assert browser(corpusmill_4201=KEY).get("/").status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000"])
def test_a_page_of_another_origin_is_refused_whatever_it_shows(
    known: TestClient, origin: str
) -> None:
    # A form, or fetch without preflight: the browser sends it without asking.
    simple = {"origin": origin, "content-type": "text/plain"}
    assert known.post("/api/flow_runs", content="{}", headers=simple).status_code == 403
    preflight = known.options("/api", headers={**simple, "access-control-request-method": "POST"})
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize("path", FREE)
@pytest.mark.parametrize("told", [{"origin": "http://evil.example"}, {"host": "evil.example"}])
def test_a_page_of_another_origin_learns_not_even_whether_the_server_is_well(
    path: str, told: dict[str, str]
) -> None:
    answer = browser().get(path, headers=told)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_its_own_origin_is_served(known: TestClient) -> None:
    for address in (HERE, "http://localhost:4200", "http://[::1]:4200"):
        host = address.removeprefix("http://")
        answer = known.post("/api", headers={"origin": address, "host": host})
        assert answer.status_code == 200, address


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4200", "127.0.0.1.evil.example:4200", "", "192.168.1.2"]
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(known: TestClient, host: str) -> None:
    assert known.get("/", headers={"host": host}).status_code == 403


def test_another_port_may_link_here_and_embed_nothing(known: TestClient) -> None:
    site = {"sec-fetch-site": "same-site"}
    assert known.get("/", headers={**site, "sec-fetch-dest": "document"}).status_code == 200
    assert known.get("/", headers={**site, "sec-fetch-dest": "iframe"}).status_code == 403


@pytest.mark.parametrize(
    ("cookies", "origin"), [({}, HERE), ({"corpusmill_4200": KEY}, "http://evil.example")]
)
def test_a_websocket_is_held_to_the_same(cookies: dict[str, str], origin: str) -> None:
    client = browser(**cookies)
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect(SOCKET, headers={"origin": origin}),
    ):
        pass
    assert closed.value.code == 1008


def test_a_page_of_its_own_opens_a_websocket(known: TestClient) -> None:
    with known.websocket_connect(SOCKET, headers={"origin": HERE}) as websocket:
        assert websocket.receive_text() == "inside"


def test_a_refused_browser_reads_a_sentence_and_a_program_json() -> None:
    page = browser().get("/", headers={"accept": "text/html", "host": "<script>"})
    assert "&lt;script&gt;" in page.text
    assert "make ui" in browser().get("/").json()["detail"]


def test_a_key_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    key = new_key(tmp_path)
    assert len(key) > 40
    assert read_key(tmp_path) == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").write_text("")
    with pytest.raises(StackError, match="holds no key"):
        read_key(tmp_path)
