"""What the stack asks of its Prefect server."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from corpusmill.storage.errors import StackError
from corpusmill.tasks.stack.prefect_api import PrefectApi

POOL = "local"
# Prefect's own less what would let a run choose the command, the environment or the folder of its
# process: who may start runs of our deployments need not be who may run anything.
_JOB_TEMPLATE = {
    "job_configuration": {"name": "{{ name }}", "stream_output": "{{ stream_output }}"},
    "variables": {
        "type": "object",
        "properties": {
            "name": {"title": "Name", "type": "string"},
            "stream_output": {"title": "Stream Output", "type": "boolean", "default": True},
        },
    },
}
_BEGUN = ("RUNNING", "PENDING", "CANCELLING")
_DOWN = "Stopped by `make down`."
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
# A flow sends its log in batches every 2 s, the last one after its last state.
_LOG_SECONDS = 3.0
# How long a server may be away, to be started again by supervisord, while a run is followed.
_ABSENCE_SECONDS = 120.0


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


class PrefectServer(PrefectApi):
    """What the stack asks; every method raises StackError when it is not obeyed."""

    def ensure_pool(self) -> None:
        """Creates the work pool, or gives it our template where an earlier version left another."""
        found = self.request("GET", f"/work_pools/{POOL}", missing=True)
        template = {"base_job_template": _JOB_TEMPLATE}
        if found is None:
            self.request("POST", "/work_pools/", {"name": POOL, "type": "process", **template})
        elif found["base_job_template"] != _JOB_TEMPLATE:
            self.request("PATCH", f"/work_pools/{POOL}", template)

    def pause_pool(self, paused: bool) -> bool:
        """Lets the pool's runs wait, or go; returns whether that changed anything."""
        if self.request("GET", f"/work_pools/{POOL}")["is_paused"] == paused:
            return False
        self.request("PATCH", f"/work_pools/{POOL}", {"is_paused": paused})
        return True

    def worker_online(self, since: datetime) -> bool:
        """Whether a worker of the pool has shown a sign of life since then."""
        workers = self.request("POST", f"/work_pools/{POOL}/workers/filter", {})
        return any(
            worker["status"] == "ONLINE"
            and datetime.fromisoformat(worker["last_heartbeat_time"]) >= since
            for worker in workers
        )

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By id, of every deployment what can be set of it in the page.

        Beside that `name`, `entrypoint` and `takes`, the names of its flow's parameters.
        """
        found = self.pages("/deployments/filter", {"sort": "NAME_ASC"})
        return {
            each["id"]: {
                "name": each["name"],
                "entrypoint": each["entrypoint"],
                "takes": sorted((each["parameter_openapi_schema"] or {}).get("properties", {})),
                **_settable(each),
            }
            for each in found
        }

    def set_deployment(self, deployment: str, values: Mapping[str, Any]) -> None:
        """Sets some of what `deployments` tells of one."""
        self.request("PATCH", f"/deployments/{deployment}", dict(values))

    def remove_deployment(self, deployment: str) -> None:
        """Removes one, with the runs that it has scheduled."""
        self.request("DELETE", f"/deployments/{deployment}")

    def start_run(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Schedules a flow run for now, and returns its id.

        Args:
            deployment: `flow/deployment`.
            parameters: take the place of the deployment's own, name by name.
        """
        found = self.request("GET", f"/deployments/name/{deployment}")
        known = found["parameter_openapi_schema"].get("properties", {})
        # The server lets such a run begin, and fail.
        for name in parameters.keys() - known.keys():
            raise StackError(
                f"{deployment} has no parameter {name!r}; expected one of {', '.join(known)}."
            )
        # The key keeps an answer that got lost from starting a second run.
        wanted = {"parameters": dict(parameters), "idempotency_key": uuid4().hex}
        run = self.request("POST", f"/deployments/{found['id']}/create_flow_run", wanted)
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
        found = self.request("GET", f"/flow_runs/{run}")
        return found["state_type"], (found["state"] or {}).get("message") or ""

    def _log(self, run: str, since: datetime | None) -> list[LogLine]:
        wanted: dict[str, Any] = {"flow_run_id": {"any_": [run]}}
        if since is not None:
            # Worker and flow send their lines apart, so that older ones may come later.
            wanted["timestamp"] = {"after_": (since - timedelta(seconds=10)).isoformat()}
        found = self.pages("/logs/filter", {"logs": wanted, "sort": "TIMESTAMP_ASC"})
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
        begun = self._active_runs("PAUSED", *_BEGUN)
        for run in begun:
            self.set_state(run, "CANCELLING", _DOWN)
        deadline = time.monotonic() + limit
        while left := self._active_runs(*_BEGUN):
            if time.monotonic() > deadline:
                for run in left:
                    self.set_state(run, "CANCELLED", _DOWN, force=True)
                break
            time.sleep(0.2)
        return len(begun)

    def missed_runs(self, flow: str, now: datetime) -> dict[str, list[tuple[str, datetime]]]:
        """Runs that schedules of a flow's deployments had for a time that is past, oldest first.

        Returns:
            by deployment, each run's id and time.
        """
        wanted = {
            "flows": {"name": {"any_": [flow]}},
            # Not a run that awaits a retry, which is Scheduled too.
            "flow_runs": {
                "state": {"name": {"any_": ["Scheduled", "Late"]}},
                "expected_start_time": {"before_": now.isoformat()},
            },
            "sort": "EXPECTED_START_TIME_ASC",
        }
        found: dict[str, list[tuple[str, datetime]]] = {}
        for run in self.pages("/flow_runs/filter", wanted):
            if run["auto_scheduled"]:
                time_of = datetime.fromisoformat(run["expected_start_time"])
                found.setdefault(run["deployment_id"], []).append((run["id"], time_of))
        return found

    def begun_runs(self) -> dict[str, str]:
        """The pool's flow runs that have a process or are about to: id and type of state."""
        return self._active_runs(*_BEGUN)

    def set_state(self, run: str, state: str, message: str, force: bool = False) -> None:
        """Sets a flow run to a type of state, with a reason; by force against any rule."""
        wanted = {"type": state, "name": state.capitalize(), "message": message}
        self.request("POST", f"/flow_runs/{run}/set_state", {"state": wanted, "force": force})

    def _active_runs(self, *states: str) -> dict[str, str]:
        wanted = {
            "work_pools": {"name": {"any_": [POOL]}},
            "flow_runs": {"state": {"type": {"any_": list(states)}}},
        }
        found = self.request("POST", "/flow_runs/filter", wanted)
        return {run["id"]: run["state_type"] for run in found}


def _settable(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """As a PATCH takes it back."""
    names = ("description", "tags", "paused", "parameters", "job_variables")
    more = ("work_queue_name", "concurrency_options", "enforce_parameter_schema")
    limit = deployment["global_concurrency_limit"]
    schedules = [
        {name: each[name] for name in ("schedule", "active", "parameters", "slug")}
        for each in deployment["schedules"]
    ]
    return {
        **{name: deployment[name] for name in (*names, *more)},
        "concurrency_limit": limit and limit["limit"],
        "schedules": sorted(schedules, key=str),
    }
