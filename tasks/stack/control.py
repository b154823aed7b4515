"""The local stack: a Prefect server, an MLflow server and a worker, on 127.0.0.1 only.

supervisord keeps them alive (see supervisord.conf); this module decides when they start and stop.
All their state is in `<home>/stack`: databases, logs, and `environment.sh` for a shell.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xmlrpc.client import Error as RemoteError

import httpx
import psutil

from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import CHECKOUT, EXPERIMENT, Settings
from corpusmill.tasks.stack import supervision
from corpusmill.tasks.stack.absence import settle
from corpusmill.tasks.stack.authentication import link, new_key, read_key
from corpusmill.tasks.stack.automations import ensure_automations
from corpusmill.tasks.stack.deployments import deploy
from corpusmill.tasks.stack.environment import process_environment, write_environment
from corpusmill.tasks.stack.ports import check_port, check_ports, ports
from corpusmill.tasks.stack.prefect_server import PrefectServer
from corpusmill.tasks.stack.supervision import Supervisor, last_words

_START_SECONDS = 120
# Prefect gives a cancelled run 30 s before it kills it, and takes a few more to say so.
_CANCEL_SECONDS = 60
_FREE_BYTES = 2 * 10**9
_CONFIGURATION = Path(__file__).resolve().with_name("supervisord.conf")
# Where each says to anyone whether it is well.
_SERVERS = {"prefect": "/api/health", "mlflow": "/health"}


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
            settings = _in_effect(supervisor, settings)
            # Its worker runs the code, and its servers have the names, that it was started with.
            ours = str(_CONFIGURATION) in supervisor.process.cmdline()
            if not ours or settings.key != read_key(layout.stack):
                raise StackError(
                    f"The stack in {layout.root} was started by an earlier version or another "
                    "checkout, or has another key now: `make down`, then run this again."
                )
            _check_same(supervisor, settings, layout)
            _mend(supervisor, settings, layout)
            _complete(supervisor, settings, layout, checkout, datetime.min.replace(tzinfo=UTC))
            return settings
        ports = settings.prefect_port, settings.mlflow_port
        settings = _with(settings, *ports, new_key(layout.stack))
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
    _check_owner(layout)
    if not layout.stack.exists():
        return False
    with _exclusive(layout):
        supervisor = supervision.find(layout.stack)
        if supervisor is None:
            left = supervision.members(layout.stack)
            supervision.end(left)
            _clear(layout)
            return bool(left)
        server = PrefectServer(_in_effect(supervisor, settings))
        # A Prefect server that is dead cancels nothing; its runs then end by force.
        with contextlib.suppress(StackError):
            # Or a run that waits for its turn would start as soon as another is cancelled.
            if server.pause_pool(True):
                _paused(layout).touch()
            server.cancel_runs(_CANCEL_SECONDS)
        _stop(supervisor, layout)
        return True


def runs(layout: Layout) -> bool:
    """Whether a stack runs in this home."""
    return supervision.find(layout.stack) is not None


def in_effect(settings: Settings, layout: Layout) -> Settings:
    """The settings with the ports, addresses and key of the stack that runs in this home.

    Raises:
        StackError: no stack runs in it, or the servers on its ports are not its own.
    """
    _check_owner(layout)
    supervisor = supervision.find(layout.stack)
    if supervisor is None:
        raise StackError(f"No stack runs in {layout.root}; start it with `make up`.")
    settings = _in_effect(supervisor, settings)
    for server, port in ports(settings).items():
        if not supervisor.listens(server, port):
            raise StackError(
                f"The {server} server of the stack in {layout.root} does not run (port {port}: "
                f"{supervision.listener(port) or 'free'}); `make up` starts it again, or says why "
                "it cannot."
            )
    return settings


def links(settings: Settings) -> tuple[str, str]:
    """What a browser opens to see the Prefect and the MLflow pages of a stack that runs."""
    assert settings.key is not None, "settings in effect"
    pages = settings.prefect_api_url.removesuffix("/api"), settings.mlflow_url
    return link(pages[0], settings.key), link(pages[1], settings.key)


@contextlib.contextmanager
def _exclusive(layout: Layout) -> Iterator[None]:
    """Lets one `up` or `down` at a time work on a home; others wait for it."""
    _check_owner(layout)
    try:
        for folder in ("logs", "mlflow"):
            (layout.stack / folder).mkdir(parents=True, exist_ok=True)
        # Databases, logs and the key are nobody else's.
        layout.stack.chmod(0o700)
        lock = (layout.stack / "lock").open("w")
    except OSError as error:
        raise StackError(
            f"{layout.stack} cannot be written ({error.strerror}); "
            "set CORPUSMILL_HOME to a folder of your own."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_owner(layout: Layout) -> None:
    """Refuses a stack of somebody else: its key and its databases are not ours."""
    try:
        owner = layout.stack.stat().st_uid
    except PermissionError as error:
        raise StackError(
            f"{layout.stack} is closed to this user, expected a folder of your own: set "
            "CORPUSMILL_HOME to one."
        ) from error
    except OSError:
        return
    if owner != os.geteuid():
        raise StackError(
            f"{layout.stack} belongs to the user with the number {owner}, expected a folder of "
            "your own: run this as that user, or set CORPUSMILL_HOME to another home."
        )


def _start(settings: Settings, layout: Layout) -> Supervisor:
    # What a supervisord that was killed has left behind holds the ports.
    supervision.end(supervision.members(layout.stack))
    check_ports(settings)
    free = shutil.disk_usage(layout.root).free
    if free < _FREE_BYTES:
        raise StackError(
            f"{layout.root} has {free / 1e9:.1f} GB free, expected at least "
            f"{_FREE_BYTES / 1e9:.0f} GB: delete something, or set CORPUSMILL_HOME to a folder "
            "on a larger disk."
        )
    return supervision.start(_CONFIGURATION, layout.stack, process_environment(settings, layout))


def _mend(supervisor: Supervisor, settings: Settings, layout: Layout) -> None:
    """Starts again the servers that supervisord has given up."""
    for server in _SERVERS:
        if supervisor.states()[server] in supervision.NOT_RUNNING:
            # A parent that was killed leaves a child that holds the port.
            supervision.end(supervision.orphans(layout.stack, server))
            # What has taken the port of a stack that goes on in part.
            check_port(server, settings, "make down && make up")
            supervisor.start(server)


def _complete(
    supervisor: Supervisor, settings: Settings, layout: Layout, checkout: Path, since: datetime
) -> None:
    """From servers that were just started, or run, to a stack that takes flow runs."""
    write_environment(settings, layout)
    server = PrefectServer(settings)
    await_program = _Waiting(supervisor, layout)
    await_program("prefect", lambda: _serves(supervisor, settings, "prefect"))
    server.ensure_pool()
    if supervisor.states()["worker"] in supervision.NOT_RUNNING:
        settle(server, layout.stack, datetime.now(UTC))
    # They start while we deploy.
    supervisor.start("worker")
    supervisor.start("watch")
    deploy(server, layout, checkout, process_environment(settings, layout))
    ensure_automations(server)
    await_program("mlflow", lambda: _serves(supervisor, settings, "mlflow"))
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
                    f"its last words are {last_words(_tail(log, self._begin))!r}; "
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


def _serves(supervisor: Supervisor, settings: Settings, server: str) -> bool:
    port = ports(settings)[server]
    if not supervisor.listens(server, port):
        return False
    try:
        url = f"http://127.0.0.1:{port}{_SERVERS[server]}"
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


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


def _in_effect(supervisor: Supervisor, settings: Settings) -> Settings:
    started = supervisor.environment
    prefect, mlflow = (int(started[name]) for name in ("PREFECT_PORT", "MLFLOW_PORT"))
    if settings.experiment == EXPERIMENT:
        settings = replace(settings, experiment=started["MLFLOW_EXPERIMENT_NAME"])
    return _with(settings, prefect, mlflow, started.get("MLFLOW_TRACKING_PASSWORD"))


def _check_same(supervisor: Supervisor, asked: Settings, layout: Layout) -> None:
    """Refuses what this shell asks of flows and the stack, whose worker starts them, has not."""
    started = supervisor.environment
    differing = [
        f"{name}={value}"
        for name, value, default in (
            ("CORPUSMILL_PRECISION", asked.precision, "auto"),
            ("CORPUSMILL_TASK_RUNNER", asked.task_runner, "local"),
            ("CORPUSMILL_PROCESSES", str(asked.processes), str(asked.processors)),
            ("MLFLOW_EXPERIMENT_NAME", asked.experiment, EXPERIMENT),
        )
        if value not in (default, started.get(name) or default)
    ]
    if differing:
        raise StackError(
            f"The stack in {layout.root} was started without {' and '.join(differing)}, which this "
            "shell asks for: `make down`, then run this again."
        )


def _with(settings: Settings, prefect: int, mlflow: int, key: str | None) -> Settings:
    return replace(
        settings,
        prefect_port=prefect,
        mlflow_port=mlflow,
        prefect_api_url=f"http://127.0.0.1:{prefect}/api",
        mlflow_url=f"http://127.0.0.1:{mlflow}",
        key=key,
    )
