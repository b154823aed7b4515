"""The stack with real servers, beside any that may run already: free ports, a home of its own."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest
from click.testing import CliRunner

from flows.command_line import main
from storage.errors import StackError
from storage.layout import Layout
from storage.settings import Settings, load_settings
from tasks import stack, supervision
from tasks.prefect_server import PrefectServer
from tests.servers import free_port, wait_for

FLOW = """
import time
from prefect import flow

@flow(log_prints=True)
def wait(seconds: float = 0.0):
    print("files [/a/b] of [train]")
    time.sleep(seconds)
"""
DEPLOYMENT = """
deployments:
  - name: full
    entrypoint: waiting.py:wait
    work_pool: {name: local}
"""


@dataclass(frozen=True)
class Running:
    settings: Settings
    layout: Layout
    checkout: Path

    @property
    def server(self) -> PrefectServer:
        return PrefectServer(self.settings.prefect_api_url)

    def pid(self, program: str) -> int:
        """Process of a program, 0 while it is between two."""
        found = supervision.find(self.layout.stack)
        assert found is not None
        for child in found.process.children():
            with contextlib.suppress(psutil.Error):
                if child.environ().get("SUPERVISOR_PROCESS_NAME") == program:
                    return child.pid
        return 0


def settings_in(home: Path) -> Settings:
    prefect, mlflow = free_port(), free_port()
    return replace(load_settings(), home=home, prefect_port=prefect, mlflow_port=mlflow)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # A name with a quote, a space and a percent sign, and too long for a socket.
    home = tmp_path_factory.mktemp("stack") / f"l'été 100% {'x' * 80}"
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "waiting.py").write_text(FLOW)
    (checkout / "prefect.yaml").write_text(DEPLOYMENT)
    layout = Layout(home)
    # As a background job of a script is: deaf to SIGINT.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = stack.up(settings_in(home), layout, checkout)
        yield Running(settings, layout, checkout)
    finally:
        signal.signal(signal.SIGINT, before)
        stack.down(load_settings(), layout)
        assert supervision.members(layout.stack) == []


def test_both_pages_answer_and_a_worker_is_online(running: Running) -> None:
    for link in stack.links(running.settings, running.layout):
        assert "<html" in httpx.get(link, follow_redirects=True).text.lower()
    pool = httpx.get(f"{running.settings.prefect_api_url}/work_pools/local").json()
    assert (pool["status"], pool["type"]) == ("READY", "process")


def test_second_up_changes_nothing_but_the_deployments(running: Running) -> None:
    before = [running.pid(program) for program in ("prefect", "mlflow", "worker")]
    asked = settings_in(running.layout.root)

    in_effect = stack.up(asked, running.layout, running.checkout)

    assert in_effect.prefect_port == running.settings.prefect_port
    assert [running.pid(program) for program in ("prefect", "mlflow", "worker")] == before
    automations = httpx.post(f"{running.settings.prefect_api_url}/automations/filter", json={})
    assert len(automations.json()) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_programs_hear_sigint_though_their_starter_did_not(running: Running) -> None:
    for program in ("prefect", "mlflow", "worker"):
        status = Path(f"/proc/{running.pid(program)}/status").read_text()
        ignored = int(re.findall(r"SigIgn:\s*(\w+)", status)[0], 16)
        assert not ignored & (1 << signal.SIGINT - 1), program


def test_any_shell_reaches_the_stack_through_environment_sh(
    running: Running, tmp_path: Path
) -> None:
    script = '. "$1"; exec "$2" -c "import os; print(os.environ[\'PREFECT_API_URL\'])"'
    file = stack.environment_file(running.layout)

    said = subprocess.check_output(
        ["sh", "-euc", script, "sh", file, sys.executable], cwd=tmp_path, env={}, text=True
    )

    assert said.strip() == running.settings.prefect_api_url


def test_a_run_is_followed_with_brackets_and_all(running: Running) -> None:
    run = running.server.start_run("wait/full", {"seconds": 0.1})

    lines = [line.message for line in running.server.follow_run(run)]

    assert "files [/a/b] of [train]" in lines
    assert running.server.run_state(run)[0] == "COMPLETED"


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [({"second": 1}, "no parameter 'second'"), ({"seconds": "x"}, "'x' is not of type 'number'")],
)
def test_a_wrong_parameter_starts_nothing(
    running: Running, parameters: dict[str, object], complaint: str
) -> None:
    with pytest.raises(StackError, match=complaint):
        running.server.start_run("wait/full", parameters)


def test_a_killed_server_comes_back(running: Running) -> None:
    killed = running.pid("prefect")
    os.kill(killed, signal.SIGKILL)

    wait_for(lambda: running.pid("prefect") not in (0, killed), 10)
    # Waits until it answers.
    stack.up(running.settings, running.layout, running.checkout)


def test_down_cancels_the_run_and_leaves_no_process(running: Running) -> None:
    run = running.server.start_run("wait/full", {"seconds": 600})
    wait_for(lambda: running.server.run_state(run)[0] == "RUNNING", 30)
    members = supervision.members(running.layout.stack)
    assert any("prefect.engine" in member.cmdline() for member in members)

    assert stack.down(running.settings, running.layout)

    assert not any(member.is_running() for member in members)
    assert supervision.members(running.layout.stack) == []
    assert not stack.down(running.settings, running.layout)
    with pytest.raises(StackError, match="make up"):
        stack.links(running.settings, running.layout)
    state = "SELECT state_type FROM flow_run WHERE state_type != 'COMPLETED'"
    database = running.layout.stack / "prefect" / "prefect.db"
    assert _rows(database, state) == [("CANCELLED",)]


def _rows(database: Path, query: str) -> list[tuple[str]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_a_taken_port_is_named_with_its_holder_and_a_free_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.mlflow_port))
        taken.listen()
        with pytest.raises(StackError) as caught:
            stack.up(settings, Layout(tmp_path))

    assert f"process {os.getpid()}" in str(caught.value)
    assert re.search(r"make up MLFLOW_PORT=\d+", str(caught.value))
    assert supervision.members(tmp_path / "stack") == []


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = psutil.disk_usage(str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(StackError, match=r"1\.0 GB free, expected at least 2 GB"):
        stack.up(settings_in(tmp_path), Layout(tmp_path))


def test_a_pid_file_that_outlived_its_process_is_no_stack(tmp_path: Path) -> None:
    (tmp_path / "supervisord.pid").write_text(str(os.getpid()))
    assert supervision.find(tmp_path) is None


def test_errors_are_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(main, ["ui"], env={"CORPUSMILL_HOME": str(tmp_path)})
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "make up" in result.output

    result = runner.invoke(main, ["down"], env={"CORPUSMILL_HOME": str(tmp_path)})
    assert (result.exit_code, result.output) == (0, f"Nothing runs in {tmp_path}.\n")
