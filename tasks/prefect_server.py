"""What the stack asks of its Prefect server.

Over REST, because importing Prefect's own client would cost every command a second.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from storage.errors import StackError

POOL = "local"
# A run is called dead after three heartbeats of 30 s (see supervisord.conf) did not come.
_ZOMBIE_SECONDS = 90
_ZOMBIES = "Crash flow runs without a heartbeat"
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
# A flow sends its log in batches every 2 s, the last one after its last state.
_LOG_SECONDS = 3.0
# How long a server may be away, to be started again by supervisord, while a run is followed.
_ABSENCE_SECONDS = 120.0
# The most that the server answers at once.
_PAGE = 200
_BUSY_TRIES = 10
_BUSY_SECONDS = 0.5


@dataclass(frozen=True)
class LogLine:
    """A line of a flow run's log.

    Attributes:
        time: when it was written, in the server's time zone (UTC).
        level: as in `logging`: 20 for information, 30 for a warning, …
    """

    id: str
    time: datetime
    level: int
    message: str


class PrefectServer:
    """The Prefect API at one URL; every method raises StackError when it is not obeyed."""

    def __init__(self, api_url: str) -> None:
        # A proxy from the environment has no business between this machine and itself.
        self._client = httpx.Client(base_url=api_url, timeout=30, trust_env=False)

    def ensure_pool(self) -> None:
        """Creates the work pool unless it is there; a worker that starts fills in its template."""
        if self._request("GET", f"/work_pools/{POOL}", missing=True) is None:
            self._request("POST", "/work_pools/", {"name": POOL, "type": "process"})

    def pause_pool(self, paused: bool) -> bool:
        """Lets the pool's runs wait, or go; returns whether that changed anything."""
        if self._request("GET", f"/work_pools/{POOL}")["is_paused"] == paused:
            return False
        self._request("PATCH", f"/work_pools/{POOL}", {"is_paused": paused})
        return True

    def worker_online(self, since: datetime) -> bool:
        """Whether a worker of the pool has shown a sign of life since then."""
        workers = self._request("POST", f"/work_pools/{POOL}/workers/filter", {})
        return any(
            worker["status"] == "ONLINE"
            and datetime.fromisoformat(worker["last_heartbeat_time"]) >= since
            for worker in workers
        )

    def ensure_zombie_automation(self) -> None:
        """Has the server set flow runs to Crashed whose process died without a word.

        Without it they stay Running for ever and hold their deployment's concurrency slot.
        """
        same_name = {"automations": {"name": {"any_": [_ZOMBIES]}}}
        if self._request("POST", "/automations/filter", same_name):
            return
        heartbeat = "prefect.flow-run.heartbeat"
        trigger = {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
            "for_each": ["prefect.resource.id"],
            "after": [heartbeat],
            "expect": [heartbeat, *(f"prefect.flow-run.{state}" for state in _ENDED)],
            "threshold": 1,
            "within": _ZOMBIE_SECONDS,
        }
        action = {
            "type": "change-flow-run-state",
            "state": "CRASHED",
            "name": "Crashed",
            "message": f"No heartbeat for {_ZOMBIE_SECONDS} seconds: the process is gone.",
        }
        self._request(
            "POST", "/automations/", {"name": _ZOMBIES, "trigger": trigger, "actions": [action]}
        )

    def start_run(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Schedules a flow run for now, and returns its id.

        Args:
            deployment: `flow/deployment`.
            parameters: take the place of the deployment's own, name by name.
        """
        found = self._request("GET", f"/deployments/name/{deployment}")
        known = found["parameter_openapi_schema"].get("properties", {})
        # The server lets such a run begin, and fail.
        for name in parameters.keys() - known.keys():
            raise StackError(
                f"{deployment} has no parameter {name!r}; expected one of {', '.join(known)}."
            )
        # The key keeps an answer that got lost from starting a second run.
        wanted = {"parameters": dict(parameters), "idempotency_key": uuid4().hex}
        run = self._request("POST", f"/deployments/{found['id']}/create_flow_run", wanted)
        return str(run["id"])

    def follow_run(self, run: str) -> Iterator[LogLine]:
        """The lines of a run's log as they come, until some seconds after its end.

        Prefect's own `--watch` reads them as markup: it drops `[words in brackets]` and breaks off
        at `[/a/path]`. The server may be away for some time, as when supervisord starts it again.
        """
        seen: set[str] = set()
        since, heard, ended = None, time.monotonic(), 0.0
        while not ended or time.monotonic() - ended < _LOG_SECONDS:
            try:
                state, _ = self.run_state(run)
                lines = self._log(run, since)
            except StackError:
                if time.monotonic() - heard > _ABSENCE_SECONDS:
                    raise
                time.sleep(1)
                continue
            heard = time.monotonic()
            for line in lines:
                if line.id not in seen:
                    seen.add(line.id)
                    yield line
                    since = line.time
            if state.upper() in map(str.upper, _ENDED):
                ended = ended or heard
            time.sleep(0.5)

    def run_state(self, run: str) -> tuple[str, str]:
        """Type of a run's state (COMPLETED, FAILED, …) and the message that came with it."""
        found = self._request("GET", f"/flow_runs/{run}")
        return found["state_type"], (found["state"] or {}).get("message") or ""

    def _log(self, run: str, since: datetime | None) -> list[LogLine]:
        wanted: dict[str, Any] = {"flow_run_id": {"any_": [run]}}
        if since is not None:
            # Worker and flow send their lines apart, so that older ones may come later.
            wanted["timestamp"] = {"after_": (since - timedelta(seconds=10)).isoformat()}
        body = {"logs": wanted, "sort": "TIMESTAMP_ASC", "limit": _PAGE}
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            page = self._request("POST", "/logs/filter", {**body, "offset": len(found)})
            found += page
            if not page:
                break
        return [
            LogLine(
                each["id"],
                datetime.fromisoformat(each["timestamp"]),
                each["level"],
                each["message"],
            )
            for each in found
        ]

    def cancel_runs(self, limit: float) -> int:
        """Cancels the pool's flow runs that have begun, and waits until they ended.

        Args:
            limit: seconds after which runs that nobody ends are called Cancelled all the same.

        Returns:
            how many there were.
        """
        begun = self._active_runs("RUNNING", "PENDING", "CANCELLING", "PAUSED")
        for run in begun:
            self._set_state(run, "CANCELLING", force=False)
        deadline = time.monotonic() + limit
        while left := self._active_runs("RUNNING", "PENDING", "CANCELLING"):
            if time.monotonic() > deadline:
                for run in left:
                    self._set_state(run, "CANCELLED", force=True)
                break
            time.sleep(0.2)
        return len(begun)

    def _active_runs(self, *states: str) -> list[str]:
        wanted = {
            "work_pools": {"name": {"any_": [POOL]}},
            "flow_runs": {"state": {"type": {"any_": list(states)}}},
        }
        return [run["id"] for run in self._request("POST", "/flow_runs/filter", wanted)]

    def _set_state(self, run: str, state: str, force: bool) -> None:
        message = "Stopped by `make down`."
        wanted = {"type": state, "name": state.capitalize(), "message": message}
        self._request("POST", f"/flow_runs/{run}/set_state", {"state": wanted, "force": force})

    def _answer(self, method: str, path: str, body: Any) -> httpx.Response:
        """The server's answer; asked again for some seconds while its database is locked."""
        response = self._client.request(method, path, json=body)
        for _ in range(_BUSY_TRIES):
            if not response.is_server_error:
                break
            time.sleep(_BUSY_SECONDS)
            response = self._client.request(method, path, json=body)
        return response

    def _request(self, method: str, path: str, body: Any = None, missing: bool = False) -> Any:
        try:
            response = self._answer(method, path, body)
            if missing and response.status_code == httpx.codes.NOT_FOUND:
                return None
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


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return "see its log, prefect.log in the home's stack/logs"
