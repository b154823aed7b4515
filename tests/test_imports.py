"""What a process loads: the flows stay light, and every package is this checkout's."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
LOADED = "import {}, json, sys; print(json.dumps(sorted(sys.modules)))"


def _loaded(modules: str) -> set[str]:
    command = [sys.executable, "-P", "-c", LOADED.format(modules)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_flows_load_no_torch() -> None:
    loaded = _loaded("flows.pretrain, flows.continued")
    assert "prefect" in loaded
    assert not loaded & {"torch", "accelerate", "transformers"}


def test_the_training_process_loads_nothing_of_the_flows() -> None:
    loaded = _loaded("model.training.loop, model.train")
    assert "torch" in loaded
    assert not loaded & {"prefect", "mlflow", "transformers", "datasets", "pandas"}


@pytest.mark.parametrize("package", ["flows", "tasks", "model", "storage"])
def test_each_package_is_the_one_of_this_checkout(package: str) -> None:
    assert import_module(package).__file__ == str(CHECKOUT / package / "__init__.py")
