"""The local stack: a Prefect server, an MLflow server and a worker, on 127.0.0.1 only.

supervisord keeps them alive (see supervisord.conf); this module decides when they start and stop.
All their state is in `<home>/stack`: databases, logs, and `environment.sh` for a shell.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xmlrpc.client import Error as RemoteError

import httpx
import psutil

from storage.errors import StackError
from storage.layout import Layout
from storage.settings import CHECKOUT, Settings
from tasks import supervision
from tasks.prefect_server import PrefectServer
from tasks.supervision import SCRIPTS, Supervisor

_START_SECONDS = 120
# Prefect gives a cancelled run 30 s before it kills it, and takes a few more to say so.
_CANCEL_SECONDS = 60
_FREE_BYTES = 2 * 10**9
_SERVERS = ("prefect", "mlflow")
_SIGNS_OF_TROUBLE = ("error", "exception", "cannot", "fail", "no space", "denied", "in use")


def up(settings: Settings, layout: Layout, checkout: Path = CHECKOUT) -> Settings:
    """Starts whatever of the stack does not run, and deploys `prefect.yaml` of the checkout.

    Returns:
        the settings with the ports and addresses in effect: a stack that runs keeps its ports.

    Raises:
        StackError: a port is taken, the disk is full, a server does not come up or the deployment
            fails. A stack that this call has started is stopped again, one that ran goes on.
    """
    with _exclusive(layout):
        supervisor = supervision.find(layout.stack)
        if supervisor is not None:
            settings = _settings_of(supervisor, settings)
            _mend(supervisor, layout)
            _complete(supervisor, settings, layout, checkout, datetime.min.replace(tzinfo=UTC))
            return settings
        settings = _with_ports(settings, settings.prefect_port, settings.mlflow_port)
        since = datetime.now(UTC)
        supervisor = _start(settings, layout)
        try:
            _complete(supervisor, settings, layout, checkout, since)
        except StackError:
            _stop(supervisor, layout)
            raise
        return settings


def down(settings: Settings, layout: Layout) -> bool:
    """Cancels the running flow runs, stops the stack, and leaves no process behind.

    Returns:
        False if nothing ran.

    Raises:
        StackError: another command works on the same home and does not end.
    """
    if not layout.stack.exists():
        return False
    with _exclusive(layout):
        supervisor = supervision.find(layout.stack)
        if supervisor is None:
            left = supervision.members(layout.stack)
            supervision.end(left)
            _clear(layout)
            return bool(left)
        server = PrefectServer(_settings_of(supervisor, settings).prefect_api_url)
        # A Prefect server that is dead cancels nothing; its runs then end by force.
        with contextlib.suppress(StackError):
            # Or a run that waits for its turn would start as soon as another is cancelled.
            if server.pause_pool(True):
                _paused(layout).touch()
            server.cancel_runs(_CANCEL_SECONDS)
        _stop(supervisor, layout)
        return True


def links(settings: Settings, layout: Layout) -> tuple[str, str]:
    """Addresses of the Prefect and of the MLflow pages.

    Raises:
        StackError: the stack does not run.
    """
    supervisor = supervision.find(layout.stack)
    if supervisor is None:
        raise StackError(f"No stack runs in {layout.root}; start it with `make up`.")
    settings = _settings_of(supervisor, settings)
    return settings.prefect_api_url.removesuffix("/api"), settings.mlflow_url


def environment_file(layout: Layout) -> Path:
    """The file that a shell sources to talk to the stack; written by `up`, kept by `down`."""
    return layout.stack / "environment.sh"


def process_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """The environment of every process that belongs to the stack or talks to it.

    Variables of Prefect and MLflow that this shell has for other servers are left out.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "SUPERVISOR_"))
    }
    ours = {**_addresses(settings, layout), "MLFLOW_EXPERIMENT_NAME": settings.experiment}
    for name in ("NO_PROXY", "no_proxy"):
        # A proxy of the network cannot reach this machine's own servers.
        ours[name] = ",".join(filter(None, ("127.0.0.1,localhost", inherited.get(name))))
    return {**inherited, **ours, "PATH": f"{SCRIPTS}{os.pathsep}{inherited.get('PATH', '')}"}


def _addresses(settings: Settings, layout: Layout) -> dict[str, str]:
    return {
        "CORPUSMILL_HOME": str(settings.home),
        "PREFECT_PORT": str(settings.prefect_port),
        "MLFLOW_PORT": str(settings.mlflow_port),
        # Not ~/.prefect, which belongs to the user's other work with Prefect.
        "PREFECT_HOME": str(layout.stack / "prefect"),
        "PREFECT_API_URL": settings.prefect_api_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "true",
    }


@contextlib.contextmanager
def _exclusive(layout: Layout) -> Iterator[None]:
    """Lets one `up` or `down` at a time work on a home; others wait for it."""
    try:
        for folder in ("logs", "mlflow"):
            (layout.stack / folder).mkdir(parents=True, exist_ok=True)
        lock = (layout.stack / "lock").open("w")
    except OSError as error:
        raise StackError(
            f"{layout.stack} cannot be written ({error.strerror}); "
            "set CORPUSMILL_HOME to a folder of your own."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(settings: Settings, layout: Layout) -> Supervisor:
    # What a supervisord that was killed has left behind holds the ports.
    supervision.end(supervision.members(layout.stack))
    _check_ports(settings)
    free = shutil.disk_usage(layout.root).free
    if free < _FREE_BYTES:
        raise StackError(
            f"{layout.root} has {free / 1e9:.1f} GB free, expected at least "
            f"{_FREE_BYTES / 1e9:.0f} GB: delete something, or set CORPUSMILL_HOME to a folder "
            "on a larger disk."
        )
    return supervision.start(
        CHECKOUT / "supervisord.conf", layout.stack, process_environment(settings, layout)
    )


def _check_ports(settings: Settings) -> None:
    ports = {"PREFECT_PORT": settings.prefect_port, "MLFLOW_PORT": settings.mlflow_port}
    if settings.prefect_port == settings.mlflow_port:
        raise StackError(
            f"PREFECT_PORT and MLFLOW_PORT are both {settings.mlflow_port}; expected two ports: "
            "change one of them."
        )
    for name, port in ports.items():
        holder = supervision.listener(port)
        if holder is not None:
            near = [each for each in range(port + 1, 65536) if each not in ports.values()]
            other = next((each for each in near if supervision.listener(each) is None), "…")
            raise StackError(
                f"Port {port} is taken by {holder}, expected it free: "
                f"stop that program, or choose another port with `make up {name}={other}`."
            )


def _mend(supervisor: Supervisor, layout: Layout) -> None:
    """Starts again the servers that supervisord has given up."""
    for server in _SERVERS:
        if supervisor.states()[server] in supervision.NOT_RUNNING:
            # A parent that was killed leaves a child that holds the port.
            supervision.end(supervision.orphans(layout.stack, server))
            supervisor.start(server)


def _complete(
    supervisor: Supervisor, settings: Settings, layout: Layout, checkout: Path, since: datetime
) -> None:
    """From servers that were just started, or run, to a stack that takes flow runs."""
    _write_environment(settings, layout)
    server = PrefectServer(settings.prefect_api_url)
    await_program = _Waiting(supervisor, layout)
    await_program("prefect", lambda: _answers(f"{settings.prefect_api_url}/health"))
    server.ensure_pool()
    # It starts while we deploy.
    supervisor.start("worker")
    server.ensure_zombie_automation()
    _deploy(settings, layout, checkout)
    await_program("mlflow", lambda: _answers(f"{settings.mlflow_url}/health"))
    await_program("worker", lambda: server.worker_online(since))
    if _paused(layout).exists():
        server.pause_pool(False)
        _paused(layout).unlink()


class _Waiting:
    """Waits for programs, and says from their logs why they do not come."""

    def __init__(self, supervisor: Supervisor, layout: Layout) -> None:
        self._supervisor = supervisor
        self._logs = layout.stack / "logs"
        self._begin = {log.name: log.stat().st_size for log in self._logs.glob("*.log")}
        self._deadline = time.monotonic() + _START_SECONDS

    def __call__(self, program: str, ready: Callable[[], bool]) -> None:
        while not ready():
            given_up = self._supervisor.states()[program] == "FATAL"
            if given_up or time.monotonic() > self._deadline:
                log = self._logs / f"{program}.log"
                raise StackError(
                    f"{program} did not start within {_START_SECONDS} s, "
                    f"its last words are {_last_words(_tail(log, self._begin))!r}; "
                    f"see {log}, mend that and run `make up` again."
                )
            time.sleep(0.1)


def _tail(log: Path, begin: Mapping[str, int]) -> str:
    size = log.stat().st_size
    start = begin.get(log.name, 0)
    with log.open("rb") as file:
        # A log that is shorter than before was rotated.
        file.seek(start if start <= size else 0)
        return file.read().decode(errors="replace")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    # Prefect's last line after every traceback.
    lines = [line for line in lines if line != "An exception occurred."]
    troubles = [line for line in lines if any(s in line.lower() for s in _SIGNS_OF_TROUBLE)]
    return (troubles or lines or ["(nothing)"])[-1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _deploy(settings: Settings, layout: Layout, checkout: Path) -> None:
    if not (checkout / "prefect.yaml").is_file():
        raise StackError(f"{checkout} has no prefect.yaml; run this in a checkout of corpusmill.")
    done = subprocess.run(
        [SCRIPTS / "prefect", "--no-prompt", "deploy", "--all"],
        cwd=checkout,
        # Or the log is wrapped like a terminal's text, in mid-sentence.
        env={**process_environment(settings, layout), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = layout.stack / "logs" / "deploy.log"
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode != 0:
        raise StackError(
            f"{checkout / 'prefect.yaml'} was not deployed ({_last_words(done.stdout)}); "
            f"see {log}, mend that and run `make up` again."
        )


def _write_environment(settings: Settings, layout: Layout) -> None:
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in _addresses(settings, layout).items()
    ]
    text = "\n".join(["# Written by `make up`, sourced by .venv/bin/activate.", *lines, ""])
    environment_file(layout).write_text(text, encoding="utf-8")


def _stop(supervisor: Supervisor, layout: Layout) -> None:
    # Taken now: a process that hides its environment is found only as a descendant.
    family = supervisor.process.children(recursive=True)
    with contextlib.suppress(OSError, psutil.Error, RemoteError):
        # First, for it reports to the server the end of its runs and its own.
        supervisor.stop("worker")
        supervisor.shutdown()
    supervision.end({*family, *supervision.members(layout.stack)})
    _clear(layout)


def _clear(layout: Layout) -> None:
    """Removes what a supervisord leaves that was killed."""
    for rest in (layout.stack / "supervisord.pid", supervision.socket_path(layout.stack)):
        rest.unlink(missing_ok=True)


def _paused(layout: Layout) -> Path:
    """Exists from a `down` to the next `up` that lets the work pool go on."""
    return layout.stack / "paused-by-down"


def _settings_of(supervisor: Supervisor, settings: Settings) -> Settings:
    ports = (int(supervisor.environment[name]) for name in ("PREFECT_PORT", "MLFLOW_PORT"))
    return _with_ports(settings, *ports)


def _with_ports(settings: Settings, prefect: int, mlflow: int) -> Settings:
    return replace(
        settings,
        prefect_port=prefect,
        mlflow_port=mlflow,
        prefect_api_url=f"http://127.0.0.1:{prefect}/api",
        mlflow_url=f"http://127.0.0.1:{mlflow}",
    )
