"""Real servers, shared by all that test side by side; what takes longest begins first."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from corpusmill.storage.settings import ComputePrecision
from tests import quiet, servers  # noqa: F401 - quiet comes before what loads torch
from tests.training_runs import Workshop, open_workshop

# A million objects of the libraries live as long as the tests: to look through them again and again
# for garbage took a fifth of the time.
gc.set_threshold(50_000, 20, 100)

# Machines are as busy as they are.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Fixtures with servers behind them.
SERVERS = {"deployed", "running", "mill", "home", "mlflow_server", "prefect_server", "s3"}


def pytest_make_parametrize_id(val: object) -> str | None:
    """Tells bytes apart by their place alone, for workers must agree on all names: some hold the
    time, and what is packed once more differs in length by it."""
    return "bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs servers or trains, and puts it first: others fill the time that it waits."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if SERVERS & fixtures:
            item.add_marker("servers")
        if {"workshop", "notebook"} & fixtures:
            item.add_marker("training")
    first = [
        {item.path for item in items if item.get_closest_marker(name)}
        for name in ("servers", "training")
    ]
    items.sort(key=lambda item: [item.path not in paths for paths in first])


def pytest_collection_finish() -> None:
    """Takes all that has been imported out of what is looked through."""
    gc.freeze()


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def mlflow_server(together: Path) -> Iterator[str]:
    """The address of a real MLflow server."""
    folder = together / "mlflow"
    with servers.shared(folder, lambda: servers.start_mlflow(folder)) as address:
        yield address


@pytest.fixture(scope="session")
def mlflow_artifacts(together: Path, mlflow_server: str) -> Path:
    """The folder in which the MLflow server keeps files."""
    return servers.artifacts_of(together / "mlflow")


@pytest.fixture(scope="session")
def prefect_server(together: Path) -> Iterator[str]:
    """The API of a real Prefect server, which flows of this process talk to."""
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder = together / "prefect"
    with (
        servers.shared(folder, lambda: servers.start_prefect(folder)) as address,
        temporary_settings({PREFECT_API_URL: address}),
    ):
        yield address
        # Else the thread that sends it goes on trying for a minute when the server is gone.
        APILogWorker.drain_all()


@pytest.fixture
def home(tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, with the servers of the session around it."""
    monkeypatch.setenv("CORPUSMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def s3_address(together: Path) -> Iterator[str]:
    """The address of a real S3 server, empty at first."""
    with servers.shared(together / "s3", servers.start_s3) as address:
        yield address


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the S3 server, with the environment that leads any client there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_address


@pytest.fixture(params=["fp32", "bf16"])
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ComputePrecision:
    """What auto means in a test of what depends on it: each in turn, whatever the hardware has."""
    monkeypatch.setenv("CORPUSMILL_PRECISION", request.param)
    found: ComputePrecision = request.param
    return found


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A tokenizer and shards, and room for training runs on them."""
    return open_workshop(tmp_path_factory.mktemp("workshop"))
