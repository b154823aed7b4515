"""Starting and ending processes, and what an ended one says to a person."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpusmill.model.training.job import TrainingResult
from corpusmill.storage.config import write_json_value
from corpusmill.storage.errors import InputError, ProcessError
from corpusmill.storage.layout import RunLayout
from corpusmill.tasks.launch import (
    check_outcome,
    default_processes,
    end_tree,
    supervised,
    training_outcome,
    wait,
)

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1] == "parent":
    subprocess.Popen([sys.executable, "-c", sys.argv[2], "child", ""])
print("ready", flush=True)
time.sleep(600)
"""
CALLER = """
import sys, time
from pathlib import Path
from corpusmill.tasks.launch import supervised
with supervised([sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1])) as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _ended(code: str, log: Path) -> "subprocess.Popen[bytes]":
    with supervised(_python(code), log) as process:
        assert wait(process, 30)
    return process


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path)


def test_a_tree_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    command = [*_python(STUBBORN), "parent", STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        (child,) = psutil.Process(process.pid).children()
        begun = time.monotonic()
        end_tree(process.pid, grace=0.3)
        assert 0.3 <= time.monotonic() - begun < 5
        assert not child.is_running()
        assert process.poll() is not None


def test_a_tree_that_is_gone_is_left_alone() -> None:
    process = subprocess.Popen(_python(""))
    process.wait()
    end_tree(process.pid)


def test_a_block_that_fails_leaves_no_process(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="in the block"),
        supervised(_python("import time; time.sleep(600)"), tmp_path / "log") as process,
    ):
        raise ValueError("in the block")
    assert not psutil.pid_exists(process.pid)


def test_a_caller_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", CALLER, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        child = psutil.Process(int(caller.stdout.readline()))
        caller.send_signal(signal.SIGKILL)
        assert psutil.wait_procs([child], timeout=5)[1] == []


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        _ended(f"import sys; print('{word}', file=sys.stderr)", tmp_path / "deep" / "log")
    assert (tmp_path / "deep" / "log").read_text() == "first\nsecond\n"


def test_a_process_gets_what_finds_programs_and_devices_and_no_setting_of_a_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "", "NCCL_SOCKET_IFNAME": "eth0", "LC_ALL": "C.UTF-8"}
    kept_back = {
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "WORLD_SIZE": "2",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
        "OMPI_COMM_WORLD_SIZE": "2",
        "PMI_SIZE": "2",
        "SLURM_NTASKS": "2",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCH_COMPILE_DISABLE": "1",
        "PYTHONINSPECT": "1",
        "NVIDIA_TF32_OVERRIDE": "1",
        "PREFECT_API_AUTH_STRING": "secret",
    }
    for name, value in (given | kept_back).items():
        monkeypatch.setenv(name, value)
    _ended("import json, os; print(json.dumps(dict(os.environ)))", tmp_path / "log")
    found = json.loads((tmp_path / "log").read_text())
    assert {name: found.get(name) for name in given} == given
    assert found["PATH"] == os.environ["PATH"]
    assert not kept_back.keys() & found.keys()


def test_waiting_tells_whether_the_process_ended(tmp_path: Path) -> None:
    with supervised(_python("import time; time.sleep(600)"), tmp_path / "log") as process:
        assert not wait(process, 0.1)
    assert wait(process, 0.1)


@pytest.mark.parametrize(
    ("gpus", "processors", "expected"), [(0, 1, 1), (0, 2, 2), (0, 64, 2), (1, 8, 1), (3, 2, 3)]
)
def test_a_process_for_every_gpu_or_two_on_a_cpu(gpus: int, processors: int, expected: int) -> None:
    assert default_processes(gpus, processors) == expected


def test_an_end_without_result_quotes_the_end_of_the_output(layout: RunLayout) -> None:
    process = _ended("for i in range(100): print('line', i)\nraise SystemExit(7)", layout.log)
    with pytest.raises(ProcessError, match="ended with code 7 and no result") as caught:
        training_outcome(process, layout)
    assert str(caught.value).endswith("line 98\nline 99")
    assert "line 80" not in str(caught.value)


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        (TrainingResult(status="interrupted", step=12), ProcessError, "step 12; its checkpoint"),
        (TrainingResult(status="failed", error="bad", input_error=True), InputError, "^bad$"),
        (TrainingResult(status="failed", error="bad"), ProcessError, "^bad$"),
    ],
)
def test_a_result_that_is_no_success_becomes_its_error(
    layout: RunLayout, result: TrainingResult, kind: type[Exception], words: str
) -> None:
    write_json_value(layout.result, result)
    with pytest.raises(kind, match=words):
        training_outcome(_ended("raise SystemExit(1)", layout.log), layout)


def test_a_finished_result_is_the_outcome(layout: RunLayout) -> None:
    result = TrainingResult(status="finished", step=3)
    write_json_value(layout.result, result)
    assert training_outcome(_ended("", layout.log), layout) == result


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (
            "print('noise'); print('what to mend'); raise SystemExit(3)",
            InputError,
            "^what to mend$",
        ),
        ("raise RuntimeError('out of memory')", ProcessError, r"code 1[\s\S]*out of memory$"),
        ("print('last words'); raise SystemExit(9)", ProcessError, r"code 9[\s\S]*last words$"),
    ],
)
def test_an_evaluation_that_fails_says_why(
    tmp_path: Path, code: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        check_outcome(_ended(code, tmp_path / "log"), tmp_path / "log", "evaluation")
