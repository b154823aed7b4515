"""The only code that starts processes of training and evaluation, and ends them.

A process is started in a session of its own, with its output in a file; Linux ends it if this
process dies (PR_SET_PDEATHSIG). Whatever ends the `with` block, an exception or a signal, ends the
whole tree of processes too.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

import psutil

from corpusmill.model.config import Hardware
from corpusmill.model.process import INPUT_ERROR
from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.storage.config import Config, read_json, write_json_value
from corpusmill.storage.errors import InputError, ProcessError
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import write_json

# The environment variables that a process inherits: those that find programs and files, locales,
# and what machines with GPUs need to find those and each other. All others are left out, above all
# those that a launcher, a scheduler or a library would take for a setting of the run (ACCELERATE_*,
# WORLD_SIZE, SLURM_*, OMPI_*, …): settings are in the job.
_GIVEN = {
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME", "LANG", "LANGUAGE", "TZ"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "CONDA_PREFIX"),
    *("CC", "CXX", "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "SDKROOT"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"),
}
_GIVEN_PREFIXES = ("LC_", "CORPUSMILL_", "CUDA_", "NCCL_", "GLOO_", "UCX_", "FI_")

# Prefect kills a flow 30 s after it asks it to end: a checkpoint must fit into less.
GRACE_SECONDS = 20.0
_LINES_SHOWN = 12


@contextmanager
def supervised(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` with its output appended to `log`; no process of it outlives the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(environment or {}),
            start_new_session=True,
            preexec_fn=_tie_to_parent(),  # noqa: PLW1509 - two system calls between fork and exec
        )
    try:
        yield process
    finally:
        end_tree(process.pid)
        process.wait()


@contextmanager
def conversing(command: Sequence[str], errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` with its input and output as pipes; it does not outlive the block."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=_environment({}),
    )
    try:
        with process:
            yield process
            process.stdin.close()  # type: ignore[union-attr]
    finally:
        end_tree(process.pid)


def end_tree(pid: int, grace: float = GRACE_SECONDS) -> None:
    """Asks a process and all its descendants to end, and kills what is left after `grace` s."""
    try:
        root = psutil.Process(pid)
        tree = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        _send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=grace)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)


def training_command(job: TrainingJob, layout: RunLayout) -> list[str]:
    """The `accelerate launch` command for a job, with a config file of the run's own.

    One process needs no launcher, whose start takes a second. Without a config accelerate would
    read whatever default the user's home holds. `MULTI_GPU` is also what makes it start several
    processes on a CPU: `MULTI_CPU` silently starts one without MPI.

    On one machine the rendezvous of launcher and processes is in files: the ports that torch would
    open for it are open to every network.
    """
    module = ["--module", "corpusmill.model.train", str(layout.job)]
    if job.num_processes == 1:
        return [sys.executable, "-m", *module[1:]]
    rendezvous = ["--rdzv_backend", "static"]
    hardware, machines = job.train.hardware, job.train.hardware.machines
    if machines is None:
        module.append(str(_rendezvous_file(layout)))
        # No keep-alives: no other machine waits for them, and each would lengthen the file.
        conf = f"store_type=file,keep_alive_interval={24 * 3600}"
        rendezvous = ["--rdzv_backend", "c10d", "--rdzv_conf", conf]
    config = layout.path / "accelerate.json"
    write_json(
        config,
        {
            "compute_environment": "LOCAL_MACHINE",
            "distributed_type": "MULTI_GPU",
            "num_machines": hardware.num_machines,
            "num_processes": job.num_processes,
            "machine_rank": 0,
            "mixed_precision": "no",
            "main_process_ip": machines.main_process_ip if machines else None,
            "main_process_port": machines.main_process_port if machines else 0,
            "same_network": True,
            "use_cpu": False,
        },
    )
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(config)),
        *rendezvous,
        *module,
    ]


def _rendezvous_file(layout: RunLayout) -> Path:
    # A new name: what is left of a launch that was killed may still use the file before.
    shutil.rmtree(layout.meetings, ignore_errors=True)
    layout.meetings.mkdir()
    return layout.meetings / uuid4().hex


def training_environment(compiled: Path) -> dict[str, str]:
    """The environment of a training process, which keeps its compiled network in this folder."""
    # OpenMP threads spin for a moment before they sleep: 2.2 times as fast for a small network,
    # on cores that are otherwise idle, which those for training should be.
    return {"TORCHINDUCTOR_CACHE_DIR": str(compiled), "GOMP_SPINCOUNT": "300000"}


def limited_to(processors: int | None) -> dict[str, str]:
    """What tells a process how many cores it may use; nothing of all there are."""
    return {} if processors is None else {"CORPUSMILL_PROCESSORS": str(processors)}


def other_machine(command: Sequence[str], rank: int) -> list[str]:
    """What to start on machine number `rank`, from 1, for the `training_command` of the first."""
    module = command.index("--module")
    return [*command[:module], "--machine_rank", str(rank), *command[module:]]


def evaluation_command(job: Path) -> list[str]:
    """The command that evaluates the job in this file."""
    return [sys.executable, "-m", "corpusmill.model.evaluate", str(job)]


def prediction_command(job: Path) -> list[str]:
    """The command that answers the examples of the job in this file."""
    return [sys.executable, "-m", "corpusmill.model.predict", str(job)]


def stream_command(model: Path) -> list[str]:
    """The command that answers texts as they come with the model in this folder."""
    return [sys.executable, "-m", "corpusmill.model.tasks.stream", str(model)]


def baseline_command(job: Path) -> list[str]:
    """The command that fits the baseline of the job in this file."""
    return [sys.executable, "-m", "corpusmill.model.baseline", str(job)]


def neighbours_command(job: Path) -> list[str]:
    """The command that finds the neighbours of the job in this file."""
    return [sys.executable, "-m", "corpusmill.model.neighbours", str(job)]


def sample_command(model: Path, prompt: str) -> list[str]:
    """The command that continues `prompt` with the model in this folder."""
    return [sys.executable, "-m", "corpusmill.model.inference.sample", str(model), prompt]


def run_job(
    job: Config,
    command: Callable[[Path], list[str]],
    name: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs a process with one job, called `name`, to its end.

    Args:
        command: that does the job in a file.

    Raises:
        InputError: a sentence from the process about what a person must mend.
        ProcessError: it ended without doing its work.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file, log = Path(scratch) / "job.json", Path(scratch) / "output.log"
        write_json_value(file, job)
        with supervised(command(file), log, environment) as process:
            while not wait(process, 1.0):
                pass
        check_outcome(process, log, name)


def run_to_end(command: Sequence[str]) -> int:
    """Runs a short command on this terminal and returns its exit code."""
    return subprocess.run(command, env=_environment({}), check=False).returncode


def training_outcome(process: subprocess.Popen[bytes], layout: RunLayout) -> TrainingResult:
    """The result of the ended process.

    Raises:
        InputError: the input is wrong; the message, from the process, says how to mend it.
        ProcessError: it ended without a result; with the last lines of its output.
    """
    result = read_json(TrainingResult, layout.result) if layout.result.exists() else None
    if result and result.status == "finished":
        return result
    if result and result.error:
        raise (InputError if result.input_error else ProcessError)(result.error)
    if result:
        raise ProcessError(
            f"Training was asked to stop at step {result.step}; its checkpoint is kept, a retry "
            "goes on from there."
        )
    raise ProcessError(
        f"The training process ended with code {process.returncode} and no result; a retry goes "
        f"on from the newest checkpoint. {_last_lines(layout.log)}"
    )


def check_outcome(process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Raises InputError or ProcessError unless the ended process, called `name`, did its work."""
    if process.returncode == 0:
        return
    if process.returncode == INPUT_ERROR:
        raise InputError(log.read_text(encoding="utf-8", errors="replace").strip().split("\n")[-1])
    raise ProcessError(
        f"The {name} process ended with code {process.returncode}. {_last_lines(log)}"
    )


def find_hardware() -> Hardware:
    """What torch finds in a process with the environment of those that train and evaluate.

    Raises:
        InputError: the input is wrong; the message, from the process, says how to mend it.
        ProcessError: it ended without an answer; with the last lines of its output.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answer, log = Path(scratch) / "hardware.json", Path(scratch) / "output.log"
        with supervised(
            [sys.executable, "-m", "corpusmill.model.hardware", str(answer)], log
        ) as process:
            process.wait()
        check_outcome(process, log, "hardware")
        return read_json(Hardware, answer)


def default_processes(gpus: int, processors: int) -> int:
    """A process for every GPU, or 2 on a CPU with 2 cores or more."""
    return gpus or min(2, processors)


def wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Waits up to `seconds`; whether the process has ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    # No file of the current directory, whatever its name, may hide a package that we import.
    # One thread until the process shares out the cores: the launcher would say the same, loudly.
    # OpenMP threads wait without spinning: twice as fast on cores that are busy otherwise.
    # Lines in the order in which they were written, for the last one may say why it ended.
    # The launcher opens no port for processes whose rendezvous is a file.
    own = {
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    given = {
        name: value
        for name, value in os.environ.items()
        if name in _GIVEN or name.startswith(_GIVEN_PREFIXES)
    }
    return {**given, **own, **extra}


def _tie_to_parent() -> Callable[[], None]:
    # Looked up before the fork: the loader's lock may be held by another thread at the fork.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def tie() -> None:
        if prctl:
            prctl(1, signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return tie


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().split("\n")[-_LINES_SHOWN:]
    return f"The end of {log}:\n" + "\n".join(lines)
