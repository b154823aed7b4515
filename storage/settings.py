"""The only place that reads the environment."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from corpusmill.storage.errors import ConfigError

# The folder that holds our rooms: a checkout, or the package that a wheel has installed.
CHECKOUT = Path(__file__).resolve().parent.parent
# The name beside `Settings.key` in HTTP's basic authentication.
USER = "corpusmill"
EXPERIMENT = "corpusmill"
LOCAL = ("127.0.0.1", "localhost")
ComputePrecision = Literal["bf16", "fp32"]
Precision = Literal["auto", ComputePrecision]


@dataclass(frozen=True)
class Settings:
    """Where things are on this machine.

    Attributes:
        home: folder of all state (`CORPUSMILL_HOME`; by default `var` in the checkout, and
            for an installed wheel `corpusmill` in the user's data: `XDG_DATA_HOME`).
        prefect_port: port of the local Prefect server (`PREFECT_PORT`).
        mlflow_port: port of the local MLflow server (`MLFLOW_PORT`).
        prefect_api_url: the Prefect API (`PREFECT_API_URL`).
        mlflow_url: the MLflow server (`MLFLOW_TRACKING_URI`).
        experiment: name of the MLflow experiment (`MLFLOW_EXPERIMENT_NAME`).
        processors: cores this process may use (`CORPUSMILL_PROCESSORS`; by default all it can).
        processes: that work side by side on partitions of documents (`CORPUSMILL_PROCESSES`; as
            many as processors by default).
        task_runner: where partitions of documents are worked on (`CORPUSMILL_TASK_RUNNER`): local,
            ray, dask, ray=ADDRESS or dask=ADDRESS.
        precision: what a precision of auto means here (`CORPUSMILL_PRECISION`: bf16 or fp32; auto
            by default, which asks the hardware).
        local_processes: ranks on this machine, as the launcher says (`LOCAL_WORLD_SIZE`).
        rank: of this process among those of its run, as the launcher says (`RANK`).
        under_worker: whether a Prefect worker started this process (`PREFECT__FLOW_RUN_ID`).
        key: what the servers of the stack ask for; None where Prefect and MLflow find it in the
            environment, as in a flow run or a shell that sourced environment.sh.
    """

    home: Path
    prefect_port: int
    mlflow_port: int
    prefect_api_url: str
    mlflow_url: str
    experiment: str
    processors: int
    processes: int
    task_runner: str
    precision: Precision
    local_processes: int
    rank: int
    under_worker: bool
    key: str | None = field(default=None, repr=False)


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        ConfigError: a port that is not a number from 1 to 65535, no number of processes, a
            precision that there is not, or a name that MLflow cannot hold.
    """
    # pydantic-settings takes 0.25 s to import, in every process, and reads 4_200 as a port too.
    port = "a port from 1 to 65535"
    prefect_port = _number("PREFECT_PORT", 4200, port, 65535)
    mlflow_port = _number("MLFLOW_PORT", 5000, port, 65535)
    there = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    processors = _number("CORPUSMILL_PROCESSORS", there, "a number of cores from 1 to 4096", 4096)
    return Settings(
        home=_home(CHECKOUT),
        prefect_port=prefect_port,
        mlflow_port=mlflow_port,
        prefect_api_url=os.environ.get("PREFECT_API_URL") or f"http://127.0.0.1:{prefect_port}/api",
        mlflow_url=os.environ.get("MLFLOW_TRACKING_URI") or f"http://127.0.0.1:{mlflow_port}",
        experiment=_experiment(),
        processors=processors,
        processes=_number("CORPUSMILL_PROCESSES", processors, "a number of processes"),
        task_runner=os.environ.get("CORPUSMILL_TASK_RUNNER") or "local",
        precision=_precision(),
        local_processes=max(1, _launched("LOCAL_WORLD_SIZE")),
        rank=_launched("RANK"),
        under_worker="PREFECT__FLOW_RUN_ID" in os.environ,
    )


def around_proxies(given: str | None) -> str:
    """What `NO_PROXY` must say: no proxy of a network reaches this machine's own servers."""
    names = (given or "").split(",")
    return ",".join(filter(None, (*(each for each in LOCAL if each not in names), given)))


def go_around_proxies() -> None:
    """Has clients in this process speak to this machine's servers directly."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = around_proxies(os.environ.get(name))
    # Else the client that MLflow uses sends a line of ~/.netrc in place of the key of the stack.
    os.environ["NETRC"] = os.devnull


def use_network_interface(name: str) -> None:
    """Has torch's collectives in this process speak, and listen, through this interface alone."""
    os.environ["GLOO_SOCKET_IFNAME"] = name
    # The sign of equality: not whatever interface has a name that begins so.
    os.environ["NCCL_SOCKET_IFNAME"] = f"={name}"


def drop_variables(*prefixes: str) -> None:
    """Takes out of this process's environment what a library would read there."""
    for name in [each for each in os.environ if each.startswith(prefixes)]:
        del os.environ[name]


def _home(packages: Path) -> Path:
    given = os.environ.get("CORPUSMILL_HOME")
    if not given and (packages / "prefect.yaml").is_file():
        given = str(packages / "var")
    # What an installer replaces and removes is no place to keep anything.
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(given or f"{data}/corpusmill").expanduser().resolve()


def _launched(name: str) -> int:
    # A launcher writes a number; whatever else a shell holds under this name was not meant for us.
    given = os.environ.get(name) or ""
    return int(given) if given.isdecimal() else 0


def _experiment() -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    # Bytes that are no UTF-8 come as halves of surrogate pairs.
    if len(name) <= 500 and name.encode(errors="ignore").decode() == name:
        return name
    raise ConfigError(
        f"MLFLOW_EXPERIMENT_NAME is {name[:40]!a}, of {len(name)} characters; expected up to 500 "
        "characters in UTF-8, such as corpusmill."
    )


def _number(name: str, default: int, expected: str, most: float = math.inf) -> int:
    value = os.environ.get(name) or str(default)
    if value.isdecimal() and 0 < int(value) <= most:
        return int(value)
    raise ConfigError(f"{name} is {value!r}; expected {expected}, such as {default}.")


def _precision() -> Precision:
    found = os.environ.get("CORPUSMILL_PRECISION") or "auto"
    for known in get_args(Precision):
        if found == known:
            return cast(Precision, known)
    raise ConfigError(f"CORPUSMILL_PRECISION is {found!r}; expected auto, bf16 or fp32.")
