"""Authentication of the local servers: who may send them requests.

Any web page that the user opens can send requests to 127.0.0.1, and so can every user of the
machine; whoever reaches the Prefect server can have it run commands. Therefore, as in Jupyter,
programs send a key that only the user can read, and a browser takes it from a link once and keeps
it as a cookie. Neither helps a page of another origin, nor a name rebound to 127.0.0.1.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from corpusmill.storage.errors import StackError
from corpusmill.storage.settings import USER

# What a server answers without the key: whether it is well.
FREE = ("/api/health", "/health")
_KEY_BYTES = 32
_COOKIE_SECONDS = 30 * 24 * 3600
_OUR_NAMES = ("127.0.0.1", "localhost", "[::1]")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def new_key(stack: Path) -> str:
    """Makes the key of a stack that is about to start; nobody else can read its file.

    Never the one before: shells and browsers show that to whoever holds the ports meanwhile.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    write_private(stack / "key", key)
    return key


def read_key(stack: Path) -> str:
    """The key that a stack was started with.

    Raises:
        StackError: it is not there.
    """
    path = stack / "key"
    key = path.read_text() if path.exists() else ""
    if len(key) < _KEY_BYTES:
        raise StackError(
            f"{path} holds no key, expected that of the stack: `make down`, `make up`."
        )
    return key


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, at no moment anyone else."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)


def authorization(key: str) -> str:
    """The value of the header `Authorization` that shows the key (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{USER}:{key}".encode()).decode()


def link(page: str, key: str) -> str:
    """The link to a page with the key in it, for which `KeyMiddleware` sets a cookie."""
    parts = urlsplit(page)
    to = {"to": parts.path} if parts.path.strip("/") else {}
    return urlunsplit(parts._replace(path="/", query=urlencode({"key": key, **to}, safe="/")))


class KeyMiddleware:
    """ASGI middleware that passes on only requests with the key, in a header or a cookie.

    Refused with 403 (a websocket with 1008) is whatever names another host than this machine, comes
    from a page of another origin, or does not show the key; without the key programs may ask only
    whether the server is well.
    """

    def __init__(self, app: App, port: int, key: str) -> None:
        self._app = app
        self._key = key.encode()
        self._authorization = authorization(key).encode()
        # By port: cookies of 127.0.0.1 go to every port of it.
        self._cookie = f"{USER}-{port}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        reason = _foreign(headers)
        if reason is None and self._brings_key(scope):
            answer = self._cookie_for(scope)
        elif reason is None and (_is_free(scope) or self._shows_key(headers)):
            answer = self._app
        else:
            answer = _refusal(scope, headers, reason or _NO_KEY)
        await answer(scope, receive, send)

    def _brings_key(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return False
        [brought] = parse_qs(scope["query_string"]).get(b"key", [b""])[:1]
        return hmac.compare_digest(brought, self._key)

    def _shows_key(self, headers: dict[bytes, bytes]) -> bool:
        pairs = (each.strip().partition(b"=") for each in headers.get(b"cookie", b"").split(b";"))
        cookies = {name: value for name, _, value in pairs}
        shown = headers.get(b"authorization", b"")
        return hmac.compare_digest(shown, self._authorization) or hmac.compare_digest(
            cookies.get(self._cookie, b""), self._key
        )

    def _cookie_for(self, scope: Scope) -> App:
        """The answer that leaves the cookie and leads on to the page."""
        from starlette.responses import RedirectResponse

        [to] = parse_qs(scope["query_string"]).get(b"to", [b""])[:1]
        told = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        # Two slashes would begin the name of another host.
        answer = RedirectResponse("/" + quote(to.lstrip(b"/")), HTTPStatus.SEE_OTHER, told)
        answer.set_cookie(
            self._cookie.decode(),
            self._key.decode(),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
        )
        return answer


_NO_KEY = (
    "This server answers only what shows the key of its stack, a new one after each start: open "
    "the link that `make ui` prints, or source environment.sh in the stack's folder again."
)


def _is_free(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"] in FREE


def _foreign(headers: dict[bytes, bytes]) -> str | None:
    """Why a request is not from this machine's own pages and programs, or None."""
    host = headers.get(b"host", b"").decode("latin-1")
    if host.rpartition(":")[0] not in _OUR_NAMES and host not in _OUR_NAMES:
        return f"Host {host!r} is not this machine; expected 127.0.0.1 or localhost."
    origin = headers.get(b"origin", f"http://{host}".encode("latin-1")).decode("latin-1")
    if origin != f"http://{host}":
        return f"Pages of {origin!r} may not speak to this server; expected http://{host}."
    embedded = headers.get(b"sec-fetch-dest", b"document") != b"document"
    if embedded and headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        return "Pages of another origin may link to this server, and embed nothing of it."
    return None


def _refusal(scope: Scope, headers: dict[bytes, bytes], reason: str) -> App:
    from starlette.responses import HTMLResponse, JSONResponse
    from starlette.websockets import WebSocketClose

    if scope["type"] == "websocket":
        return WebSocketClose(1008, reason)
    if b"text/html" in headers.get(b"accept", b""):
        return HTMLResponse(_page(reason), HTTPStatus.FORBIDDEN)
    # `detail` is what Prefect's clients show of an error, the others are MLflow's.
    said = {"detail": reason, "error_code": "PERMISSION_DENIED", "message": reason}
    return JSONResponse(said, HTTPStatus.FORBIDDEN)


def _page(reason: str) -> str:
    # A browser keeps the cookie back where a page of another site was left for this one.
    return f'<!doctype html><p>{escape(reason)}</p><p>If you did, <a href="">go on</a>.</p>'
