"""The supervisord of one home: how it is found, asked, and ended with all that it began."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Error as RemoteError
from xmlrpc.client import ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from corpusmill.storage.errors import StackError

SCRIPTS = Path(sysconfig.get_path("scripts"))
# In the environment of supervisord and of all that descends from it, and of nothing else.
MARKER = "CORPUSMILL_STACK"
_SOCKET = "CORPUSMILL_SOCKET"
# sun_path holds 104 bytes on macOS and 108 on Linux, and supervisord binds to `<path>.<pid>` first.
_SOCKET_BYTES = 90
_SIGNS_OF_TROUBLE = ("error", "exception", "cannot", "fail", "no space", "denied", "in use")
NOT_RUNNING = ("STOPPED", "EXITED", "FATAL")


@dataclass(frozen=True)
class Supervisor:
    """A supervisord that runs and answers.

    Attributes:
        process: its process.
        environment: the variables it was started with.
    """

    process: psutil.Process
    environment: Mapping[str, str]

    @property
    def _remote(self) -> Any:
        address = f"unix://{self.environment[_SOCKET]}"
        # The host is never used: the transport speaks through the socket.
        return ServerProxy("http://localhost", SupervisorTransport(None, None, address)).supervisor

    def states(self) -> dict[str, str]:
        """Name of every program, and its state in supervisord's words: RUNNING, FATAL, …"""
        return {each["name"]: each["statename"] for each in self._remote.getAllProcessInfo()}

    def listens(self, program: str, port: int) -> bool:
        """Whether it is this program, and no other, that answers on a port of 127.0.0.1."""
        for process in self.process.children():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SUPERVISOR_PROCESS_NAME") == program:
                    found = process.net_connections("tcp")
                    return any(
                        each.status == psutil.CONN_LISTEN and each.laddr[1] == port
                        for each in found
                    )
        return False

    def start(self, program: str) -> None:
        """Starts a program unless it runs or is about to; returns at once."""
        if self.states()[program] in NOT_RUNNING:
            self._remote.startProcess(program, False)

    def stop(self, program: str) -> None:
        """Stops a program and waits for its end."""
        if self.states()[program] not in NOT_RUNNING:
            self._remote.stopProcess(program)

    def shutdown(self) -> None:
        """Stops all programs at once, then supervisord itself."""
        self._remote.stopAllProcesses()
        self._remote.shutdown()
        self.process.wait(timeout=10)


def find(stack: Path) -> Supervisor | None:
    """The supervisord whose folder is `stack`, or None if there is none that answers."""
    try:
        process = psutil.Process(int((stack / "supervisord.pid").read_text()))
        supervisor = Supervisor(process, process.environ())
        # A PID file outlives a crash, and its number may be another program's by now.
        if supervisor.environment.get(MARKER) == str(stack):
            supervisor.states()
            return supervisor
    except (OSError, ValueError, KeyError, psutil.Error, RemoteError):
        pass
    return None


def start(configuration: Path, stack: Path, environment: Mapping[str, str]) -> Supervisor:
    """Starts supervisord as a daemon with `stack` as its folder.

    Raises:
        StackError: it ended at once; the message ends with its last words.
    """
    address = socket_path(stack)
    address.unlink(missing_ok=True)
    done = subprocess.run(
        [SCRIPTS / "supervisord", "--configuration", configuration],
        cwd=stack,
        env={**environment, MARKER: str(stack), _SOCKET: str(address)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # It writes its PID file after the process that we started has ended.
    deadline = time.monotonic() + 10
    while done.returncode == 0 and time.monotonic() < deadline:
        if supervisor := find(stack):
            return supervisor
        time.sleep(0.05)
    words = (done.stderr or done.stdout).strip().splitlines() or ["it does not answer"]
    raise StackError(
        f"supervisord did not start ({words[0]}); see {stack / 'logs' / 'supervisord.log'}, "
        "then run `make up` again."
    )


def socket_path(stack: Path) -> Path:
    """Where supervisord listens: in `stack`, or in a short private folder if that path is too long.

    Raises:
        StackError: the private folder belongs to somebody else.
    """
    path = stack / "supervisor.sock"
    if len(os.fsencode(path)) <= _SOCKET_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(stack)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"corpusmill-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise StackError(
            f"{folder} belongs to another user; expected a folder of your own: "
            "set TMPDIR to one, or CORPUSMILL_HOME to a shorter path."
        )
    return folder / path.name


def members(stack: Path) -> list[psutil.Process]:
    """Every process that descends from a supervisord of this home, orphans too."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARKER) == str(stack):
                found.append(process)
    return found


def orphans(stack: Path, program: str) -> list[psutil.Process]:
    """Processes of one program, as supervisord named it to them."""
    found = []
    for process in members(stack):
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SUPERVISOR_PROCESS_NAME") == program:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], grace: float = 5) -> None:
    """Terminates processes, and kills those that are still there after `grace` seconds."""
    alive = list(processes)
    for send in ("terminate", "kill"):
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, send)()
        _, alive = psutil.wait_procs(alive, timeout=grace)


def listener(port: int) -> str | None:
    """Who holds a port of 127.0.0.1: a name and a PID, "another program", or None if it is free."""
    with socket.socket() as caller, socket.socket() as holder:
        if caller.connect_ex(("127.0.0.1", port)) != 0:
            # As servers do; without it a port that was in use a minute ago seems taken.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                holder.bind(("127.0.0.1", port))
                return None
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            address, pid = connection.laddr, connection.pid
            listens = connection.status == psutil.CONN_LISTEN and address and address.port == port
            if listens and pid is not None:
                return f"{psutil.Process(pid).name()} (process {pid})"
    return "another program"


def last_words(text: str) -> str:
    """The line of a program's log that most likely says why it ended."""
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalnum, line))]
    # Prefect's last line after every traceback.
    lines = [line for line in lines if line != "An exception occurred."]
    troubles = [line for line in lines if any(s in line.lower() for s in _SIGNS_OF_TROUBLE)]
    return (troubles or lines or ["(nothing)"])[-1]
