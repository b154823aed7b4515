"""What the stack asks of its Prefect server.

Over REST, because importing Prefect's own client would cost every command a second.
"""

import time
from datetime import datetime
from typing import Any

import httpx

from storage.errors import StackError

POOL = "local"
# A run is called dead after three heartbeats of 30 s (see supervisord.conf) did not come.
_ZOMBIE_SECONDS = 90
_ZOMBIES = "Crash flow runs without a heartbeat"
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")


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

    def _request(self, method: str, path: str, body: Any = None, missing: bool = False) -> Any:
        try:
            response = self._client.request(method, path, json=body)
            if missing and response.status_code == httpx.codes.NOT_FOUND:
                return None
            response.raise_for_status()
            return response.json() if response.content else None
        except httpx.HTTPError as error:
            raise StackError(
                f"The Prefect server at {self._client.base_url} did not do {method} {path} "
                f"({error}); see the log `prefect.log` in the home's stack/logs."
            ) from error
