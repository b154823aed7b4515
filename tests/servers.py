"""Servers for tests: real processes on free ports, one of a kind for all that test side by side."""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from corpusmill.storage.settings import Settings, load_settings


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no connection is given by itself."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def settings_in(home: Path) -> Settings:
    """Settings of a stack of its own: this home, free ports."""
    prefect, mlflow = free_port(), free_port()
    return replace(load_settings(), home=home, prefect_port=prefect, mlflow_port=mlflow)


def answers(address: str) -> bool:
    """Whether a server that is well listens there."""
    try:
        return httpx.get(address, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_for(what: Callable[[], object], seconds: float) -> None:
    """Waits until `what` comes true, and fails where it does not in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.2)


def start(command: Sequence[str], environment: Mapping[str, str], health: str) -> int:
    """Starts a server of Python in a session of its own and waits until `health` answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: answers(health), 90)
    return process.pid


def stop(pid: int) -> None:
    """Kills a server with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # another worker's child
        os.waitpid(pid, 0)


@contextmanager
def shared(folder: Path, begin: Callable[[], tuple[str, int]]) -> Iterator[str]:
    """The address of a server that the first to come starts and the last to leave ends.

    Args:
        folder: the same for all who share it.
        begin: starts it, and returns its address and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _state(folder) as state:
        if not state.get("users"):
            state["address"], state["pid"] = begin()
        state["users"] = state.get("users", 0) + 1
        address = str(state["address"])
    try:
        yield address
    finally:
        with _state(folder) as state:
            state["users"] -= 1
            if not state["users"]:
                stop(state["pid"])


@contextmanager
def _state(folder: Path) -> Iterator[dict[str, Any]]:
    """What is known of a shared server, for one process at a time to read and change."""
    with (folder / "state.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state = json.loads(file.read() or "{}")
        try:
            yield state
        finally:
            file.truncate(0)
            file.write(json.dumps(state))
            file.flush()


class MlflowServer:
    """An MLflow server that keeps its runs and its port when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.pid = 0

    def start(self) -> None:
        command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db"]
        command += ["--artifacts-destination", str(artifacts_of(self._folder))]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.pid = start(command, quiet, f"{self.url}/health")

    def stop(self) -> None:
        if self.pid:
            stop(self.pid)
            self.pid = 0


def artifacts_of(folder: Path) -> Path:
    """Where an MLflow server of this folder keeps files."""
    return folder / "artifacts"


def start_mlflow(folder: Path) -> tuple[str, int]:
    """An MLflow server with its runs in `folder`: its address and process."""
    server = MlflowServer(folder)
    server.start()
    return server.url, server.pid


def start_prefect(folder: Path) -> tuple[str, int]:
    """A Prefect server without pages, its database in `folder`: its API and process."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = ["uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    environment = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_UI_ENABLED": "0",
        # As for the server that Prefect starts within a script: no schedules to keep.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    return f"{address}/api", start(command, environment, f"{address}/api/health")


def start_s3() -> tuple[str, int]:
    """An S3 server, empty at first: its address and process."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = ["moto.server", "--host", "127.0.0.1", "--port", str(port)]
    return address, start(command, {}, address)
