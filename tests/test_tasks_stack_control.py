"""The stack with real servers, beside any that may run already: free ports, a home of its own."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import load_settings
from corpusmill.storage.tracking import open_run
from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.environment import environment_file
from corpusmill.tasks.stack.prefect_server import PrefectServer
from corpusmill.tasks.stack.supervision import SCRIPTS
from corpusmill.tasks.stack.watch import LOOKS, look, with_process
from tests.servers import settings_in, wait_for
from tests.stacks import Running

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
        with pytest.MonkeyPatch.context() as shell:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                shell.setenv(
                    name, "socks://127.0.0.1:9" if "_PROXY" in name else "socks5://[::1]:9"
                )
            settings = control.up(settings_in(home), layout, checkout)
        yield Running(settings, layout, checkout)
    finally:
        signal.signal(signal.SIGINT, before)
        control.down(load_settings(), layout)
        assert supervision.members(layout.stack) == []


def test_both_pages_answer_and_a_worker_is_online(running: Running) -> None:
    for link in control.links(running.settings):
        with httpx.Client(follow_redirects=True) as browser:
            assert "<html" in browser.get(link).text.lower()
    pool = running.api("GET", "/work_pools/local")
    assert (pool["status"], pool["type"]) == ("READY", "process")


SERVERS = pytest.mark.parametrize(
    "path",
    ["prefect/api/flow_runs/count", "mlflow/ajax-api/2.0/mlflow/experiments/search"],
    ids=["prefect", "mlflow"],
)


@SERVERS
@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (False, {}),
        (True, {"origin": "http://evil.example", "content-type": "text/plain"}),
        (True, {"host": "evil.example"}),
    ],
    ids=["other-user", "hostile-page", "rebound-name"],
)
def test_a_server_refuses(running: Running, path: str, key: bool, headers: dict[str, str]) -> None:
    server, _, path = path.partition("/")
    port = {"prefect": running.settings.prefect_port, "mlflow": running.settings.mlflow_port}
    cookies = {f"corpusmill-{port[server]}": running.settings.key or ""} if key else {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port[server]}", cookies=cookies) as client:
        body = {"max_results": 1}
        assert client.post(path, content=json.dumps(body), headers=headers).status_code == 403
        assert not key or client.post(path, json=body).is_success


def test_the_server_of_another_home_is_told_from_ones_own(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = replace(running.settings, key="the key of this home, which theirs does not know")
    with pytest.raises(StackError, match="another stack's"):
        PrefectServer(theirs).begun_runs()
    # What `open_run` leaves for MLflow is taken back after the test.
    for name in ("URI", "USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    with pytest.raises(StackError, match="another stack's"):
        open_run(theirs, "flow", "name", {"flow": "pretrain"})


@pytest.mark.parametrize("shows", [{}, {"Origin": "http://evil.example"}])
def test_the_live_log_refuses(running: Running, shows: dict[str, str]) -> None:
    address = f"ws://127.0.0.1:{running.settings.prefect_port}/api/logs/out"
    with pytest.raises(InvalidStatus, match="403"), connect(address, additional_headers=shows):
        pass


def test_what_the_home_keeps_of_the_servers_is_its_owners_alone(running: Running) -> None:
    folder = running.layout.stack
    for path, mode in (
        (folder, 0o700),
        (folder / "key", 0o600),
        (folder / "environment.sh", 0o600),
    ):
        assert path.stat().st_mode & 0o777 == mode, path


def test_no_command_line_and_no_log_shows_the_key(running: Running) -> None:
    key = running.settings.key or ""
    for link in control.links(running.settings):
        httpx.get(link)
    for process in supervision.members(running.layout.stack):
        assert key not in " ".join(process.cmdline())
    for log in (running.layout.stack / "logs").iterdir():
        assert key not in log.read_text(errors="replace"), log


def test_what_a_shell_asks_of_flows_and_the_stack_has_not_is_refused(running: Running) -> None:
    asked = replace(running.settings, task_runner="dask", experiment="mine")
    refusal = "without CORPUSMILL_TASK_RUNNER=dask and MLFLOW_EXPERIMENT_NAME=mine.*make down"
    with pytest.raises(StackError, match=refusal):
        control.up(asked, running.layout, running.checkout)


def test_a_stack_that_other_code_has_started_is_refused(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_CONFIGURATION", tmp_path / "supervisord.conf")
    with pytest.raises(StackError, match=r"another checkout.*`make down`, then"):
        control.up(load_settings(), running.layout, running.checkout)


def test_second_up_changes_nothing_but_the_deployments(running: Running) -> None:
    before = [running.pid(program) for program in ("prefect", "mlflow", "worker")]
    asked = settings_in(running.layout.root)

    in_effect = control.up(asked, running.layout, running.checkout)

    assert in_effect.prefect_port == running.settings.prefect_port
    assert [running.pid(program) for program in ("prefect", "mlflow", "worker")] == before


def test_what_was_set_in_the_page_stays_and_what_changed_in_the_file_comes(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    [number] = running.server.deployments()
    cron = {"schedule": {"cron": "5 3 * * *", "timezone": "UTC"}, "active": True}
    chosen = {"paused": True, "parameters": {"seconds": 0.25}, "schedules": [cron]}
    running.server.set_deployment(number, chosen)

    def found() -> dict[str, Any]:
        return running.server.deployments()[number]

    def redeployed(changed: str) -> dict[str, Any]:
        (running.checkout / "prefect.yaml").write_text(DEPLOYMENT + changed)
        control.up(running.settings, running.layout, running.checkout)
        return found()

    in_the_page = {name: found()[name] for name in chosen}
    assert in_the_page["schedules"][0]["schedule"]["cron"] == "5 3 * * *"
    log = running.layout.stack / "logs" / "deploy.log"
    log.unlink()
    assert in_the_page.items() <= redeployed("").items()
    assert not log.exists(), "what did not change is not deployed"
    changed = redeployed("    description: new\n    parameters: {seconds: 1.5}\n")
    assert changed["description"] == "new"
    assert in_the_page.items() <= changed.items()
    with monkeypatch.context() as power, pytest.raises(KeyboardInterrupt):
        power.setattr(PrefectServer, "set_deployment", _cut)
        redeployed("    description: newer\n    parameters: {seconds: 1.5}\n    schedules: []\n")
    assert not in_the_page.items() <= found().items(), "it was cut between the two"
    again = redeployed("    description: newest\n    parameters: {seconds: 1.5}\n")
    assert again["description"] == "newest"
    assert in_the_page.items() <= again.items()
    defaults = {"paused": False, "parameters": {}, "schedules": []}
    running.server.set_deployment(number, defaults)


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_programs_hear_sigint_though_their_starter_did_not(running: Running) -> None:
    for program in ("prefect", "mlflow", "worker"):
        status = Path(f"/proc/{running.pid(program)}/status").read_text()
        ignored = int(re.findall(r"SigIgn:\s*(\w+)", status)[0], 16)
        assert not ignored & (1 << signal.SIGINT - 1), program


def test_any_shell_reaches_the_stack_through_environment_sh(
    running: Running, tmp_path: Path
) -> None:
    # Proxies as desktops and companies set them, none of which can reach this machine.
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    proxies |= {"ALL_PROXY": "socks://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9"}
    script = '. "$1"; . "$1"; echo "$NO_PROXY"; "$2" work-pool ls'
    file = environment_file(running.layout)

    said = subprocess.check_output(
        ["sh", "-euc", script, "sh", file, SCRIPTS / "prefect"],
        cwd=tmp_path,
        env={**proxies, "NO_PROXY": "intranet"},
        text=True,
    )

    assert said.startswith("127.0.0.1,localhost,intranet\n")
    assert "process" in said


def test_a_run_is_followed_with_brackets_and_all_and_chooses_no_command(running: Running) -> None:
    [deployment] = running.api("POST", "/deployments/filter", {})
    trace = running.checkout / "theirs"
    script = running.checkout / "startup.py"
    script.write_text(f"open({str(trace)!r}, 'w')")
    theirs = {"command": f"touch '{trace}'", "env": {"PYTHONSTARTUP": str(script), "PATH": "/"}}
    body = {"parameters": {"seconds": 0.1}, "job_variables": theirs}
    run = running.api("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]

    lines = [line.message for line in running.server.follow_run(run)]

    assert "files [/a/b] of [train]" in lines
    assert running.server.run_state(run)[0] == "COMPLETED"
    assert not trace.exists()


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [({"second": 1}, "no parameter 'second'"), ({"seconds": "x"}, "'x' is not of type 'number'")],
)
def test_a_wrong_parameter_starts_nothing(
    running: Running, parameters: dict[str, object], complaint: str
) -> None:
    with pytest.raises(StackError, match=complaint):
        running.server.start_run("wait/full", parameters)


def _refusal(running: Running) -> str:
    """What a command of this stack is answered, if it is refused."""
    try:
        control.in_effect(running.settings, running.layout)
    except StackError as error:
        return str(error)
    return ""


def test_a_killed_server_comes_back_and_calls_no_live_run_dead_but_a_dead_one(
    running: Running,
) -> None:
    run = running.server.start_run("wait/full", {"seconds": 600})
    wait_for(lambda: running.server.run_state(run)[0] == "RUNNING", 90)
    killed = running.pid("prefect")
    os.kill(killed, signal.SIGKILL)
    # Until it is started again, which it is once its death was noticed.
    wait_for(lambda: "does not run" in _refusal(running), 90)
    wait_for(lambda: running.pid("prefect") not in (0, killed), 90)
    # Waits until it answers.
    control.up(running.settings, running.layout, running.checkout)

    def watched() -> str:
        missed: Counter[str] = Counter()
        for _ in range(LOOKS):
            missed = look(running.server, running.layout.stack, missed)
        return running.server.run_state(run)[0]

    assert watched() == "RUNNING"
    # Both, or the worker reports the death of the other.
    os.kill(running.pid("worker"), signal.SIGKILL)
    for process in supervision.members(running.layout.stack):
        if "prefect.engine" in process.cmdline():
            process.kill()
    wait_for(lambda: not with_process(running.layout.stack), 90)
    assert watched() == "CRASHED"


def test_down_cancels_the_run_and_leaves_no_process(running: Running) -> None:
    run = running.server.start_run("wait/full", {"seconds": 600})
    wait_for(lambda: running.server.run_state(run)[0] == "RUNNING", 90)
    members = supervision.members(running.layout.stack)
    assert any("prefect.engine" in member.cmdline() for member in members)

    assert control.down(running.settings, running.layout)

    assert not any(member.is_running() for member in members)
    assert supervision.members(running.layout.stack) == []
    assert not control.down(running.settings, running.layout)
    with pytest.raises(StackError, match="make up"):
        control.in_effect(running.settings, running.layout)
    state = "SELECT state_type FROM flow_run WHERE state_type NOT IN ('COMPLETED', 'CRASHED')"
    database = running.layout.stack / "prefect" / "prefect.db"
    assert _rows(database, state) == [("CANCELLED",)]


def _rows(database: Path, query: str) -> list[tuple[str]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()
