"""What the stack refuses before anything starts, in a sentence with the remedy."""

import os
import re
import socket
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from corpusmill.flows.command_line import main
from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.authentication import read_key
from tests.servers import settings_in


def test_a_taken_port_is_named_with_its_holder_and_a_free_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.mlflow_port))
        taken.listen()
        with pytest.raises(StackError) as caught:
            control.up(settings, Layout(tmp_path))

    assert f"process {os.getpid()}" in str(caught.value)
    assert re.search(r"make up MLFLOW_PORT=\d+", str(caught.value))
    assert supervision.members(tmp_path / "stack") == []


def test_a_home_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stack").mkdir()
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    settings, layout = settings_in(tmp_path), Layout(tmp_path)
    for command in (control.up, control.down, control.in_effect):
        with pytest.raises(StackError, match=f"the number {owner}, expected"):
            command(settings, layout)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = psutil.disk_usage(str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(StackError, match=r"1\.0 GB free, expected at least 2 GB"):
        control.up(settings_in(tmp_path), Layout(tmp_path))


def test_each_start_has_a_new_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage, keys = psutil.disk_usage(str(tmp_path)), set()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=10**9))
    for _ in range(2):
        with pytest.raises(StackError, match="GB free"):
            control.up(settings_in(tmp_path), Layout(tmp_path))
        keys.add(read_key(tmp_path / "stack"))
    assert len(keys) == 2


def test_a_pid_file_that_outlived_its_process_is_no_stack(tmp_path: Path) -> None:
    (tmp_path / "supervisord.pid").write_text(str(os.getpid()))
    assert supervision.find(tmp_path) is None


def test_errors_are_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    runner = CliRunner()
    # Whatever answers on the ports of old belongs to another home.
    for command in (["ui"], ["sample", "Fellow"], ["project", str(tmp_path)]):
        here = {"CORPUSMILL_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": None}
        result = runner.invoke(main, command, env=here)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert f"No stack runs in {tmp_path}; start it with `make up`." in result.output

    result = runner.invoke(main, ["down"], env={"CORPUSMILL_HOME": str(tmp_path)})
    assert (result.exit_code, result.output) == (0, f"Nothing runs in {tmp_path}.\n")
