"""A stack in a home of its own, the flow runs on it, and what each of them took."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings
from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.environment import process_environment
from corpusmill.tasks.stack.prefect_server import PrefectServer
from tests.servers import settings_in

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Of a run that does not end, and of the events of its tasks that the server has still to take in.
_RUN_SECONDS, _TASK_SECONDS = 3600.0, 20.0
# Folders whose content has names of its own, so that growth is told one level deeper.
_DEEPER = ("artifacts", "stack")


@dataclass(frozen=True)
class FlowRun:
    """A flow run that has ended.

    Attributes:
        id: of it, in Prefect.
        state: its type.
        name: of the state, such as Skipped.
        message: that came with the state.
        seconds: from the flow's first line to its end.
        tasks: seconds of each task.
    """

    id: str
    state: str
    name: str
    message: str
    seconds: float
    tasks: Mapping[str, float]


@dataclass(frozen=True)
class Stack:
    """A stack that runs."""

    settings: Settings
    layout: Layout

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one of the commands of the environment, such as `corpusmill rollback`."""
        return subprocess.run(
            [str(supervision.SCRIPTS / words[0]), *words[1:]],
            cwd=self.settings.home,
            env=process_environment(self.settings, self.layout),
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, deployment: str, parameters: Mapping[str, Any]) -> FlowRun:
        """Starts a run of a deployment and waits for its end, whatever that is."""
        server = PrefectServer(self.settings)
        run = server.start_run(deployment, parameters)
        deadline = time.monotonic() + _RUN_SECONDS
        while (found := server.request("GET", f"/flow_runs/{run}"))["state_type"] not in _ENDED:
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{deployment} is {found['state_name']} after {_RUN_SECONDS:.0f} s; expected "
                    f"its end: see {self.layout.stack}/logs."
                )
            time.sleep(1)
        return FlowRun(
            id=run,
            state=found["state_type"],
            name=found["state_name"],
            message=(found["state"] or {}).get("message") or "",
            seconds=_between(found["start_time"], found["end_time"]),
            tasks=_task_seconds(server, run),
        )


@contextmanager
def started(home: Path) -> Iterator[Stack]:
    """The stack of this home on free ports; the one that runs there, if one does."""
    home.mkdir(parents=True, exist_ok=True)
    settings, layout = settings_in(home), Layout(home)
    places = {
        "CORPUSMILL_HOME": str(home),
        "PREFECT_PORT": str(settings.prefect_port),
        "MLFLOW_PORT": str(settings.mlflow_port),
    }
    foreign = ("PREFECT_", "MLFLOW_")
    inherited = {name: each for name, each in os.environ.items() if not name.startswith(foreign)}
    subprocess.run(
        [str(supervision.SCRIPTS / "corpusmill"), "up"],
        cwd=home,
        env=inherited | places,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    settings = control.in_effect(settings, layout)
    try:
        yield Stack(settings, layout)
    finally:
        control.down(settings, layout)


def disk(folder: Path) -> Counter[str]:
    """Bytes on disk by place in a folder, those of files with several names once."""
    seen, sizes = set[tuple[int, int]](), Counter[str]()
    for root, _, names in os.walk(folder):
        path = Path(root)
        parts = path.relative_to(folder).parts
        place = "/".join(parts[: 2 if parts[:1] and parts[0] in _DEEPER else 1])
        for name in names:
            with suppress(FileNotFoundError):
                stat = (path / name).lstat()
                if (stat.st_dev, stat.st_ino) not in seen:
                    seen.add((stat.st_dev, stat.st_ino))
                    sizes[place] += 512 * stat.st_blocks
    return sizes


def _task_seconds(server: PrefectServer, run: str) -> dict[str, float]:
    """Seconds by task; what of the same name ran several times is added up."""
    wanted = {"flow_runs": {"id": {"any_": [run]}}}
    deadline = time.monotonic() + _TASK_SECONDS
    while True:
        found = server.pages("/task_runs/filter", wanted)
        # Prefect writes them from events, some seconds late.
        if all(each["end_time"] for each in found) or time.monotonic() > deadline:
            break
        time.sleep(1)
    seconds: dict[str, float] = {}
    for each in found:
        if each["start_time"] and each["end_time"]:
            took = _between(each["start_time"], each["end_time"])
            seconds[each["name"]] = seconds.get(each["name"], 0.0) + took
    return seconds


def _between(start: str, end: str) -> float:
    first, last = (datetime.fromisoformat(each) for each in (start, end))
    return (last - first).total_seconds()
