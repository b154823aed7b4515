"""The REST API of a stack's Prefect server.

Importing Prefect's own client costs a command 1.0 s where this costs 0.15 s.
"""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from corpusmill.storage.errors import StackError
from corpusmill.storage.settings import USER, Settings

# The most that the server answers at once.
_PAGE = 200
_BUSY_TRIES = 40
_BUSY_SECONDS = 0.5


class PrefectApi:
    """A client that shows the stack's key, and waits for a database that is locked."""

    def __init__(self, settings: Settings) -> None:
        # A proxy from the environment has no business between this machine and itself.
        self._client = httpx.Client(
            base_url=settings.prefect_api_url,
            auth=(USER, settings.key) if settings.key else None,
            timeout=30,
            trust_env=False,
        )

    def pages(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All that a filter finds, page by page."""
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            here = {**body, "limit": _PAGE, "offset": len(found)}
            page = self.request("POST", path, here)
            found += page
            if not page:
                break
        return found

    def request(self, method: str, path: str, body: Any = None, missing: bool = False) -> Any:
        """What the server answers, as JSON; None where nothing is there and `missing` allows it.

        Raises:
            StackError: it does not answer, refuses our key, or does not do what it is asked.
        """
        try:
            response = self._answer(method, path, body)
            if missing and response.status_code == httpx.codes.NOT_FOUND:
                return None
            if response.status_code == httpx.codes.FORBIDDEN:
                raise StackError(
                    f"What answers at {self._client.base_url} refuses the key of this home "
                    f"({_detail(response)}): it is another stack's server. `make ui` prints where "
                    "the one of this home is; start it with `make up`, on another port if need be."
                )
            response.raise_for_status()
            return response.json() if response.content else None
        except httpx.HTTPStatusError as error:
            raise StackError(
                f"The Prefect server answered {error.response.status_code} to {method} {path}: "
                f"{_detail(error.response)}."
            ) from error
        except httpx.HTTPError as error:
            raise StackError(
                f"The Prefect server at {self._client.base_url} does not answer ({error}); "
                "start it with `make up`."
            ) from error

    def _answer(self, method: str, path: str, body: Any) -> httpx.Response:
        """The server's answer; asked again for some seconds while its database is locked."""
        response = self._client.request(method, path, json=body)
        for _ in range(_BUSY_TRIES):
            if not response.is_server_error:
                break
            time.sleep(_BUSY_SECONDS)
            response = self._client.request(method, path, json=body)
        return response


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return "see its log, prefect.log in the home's stack/logs"
