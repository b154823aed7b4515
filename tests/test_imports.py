"""What a process loads, and what a wheel holds for it: all that this checkout has."""

import json
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.wheels import CHECKOUT, PACKAGES, build

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


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_the_one_of_this_checkout(package: str) -> None:
    assert import_module(package).__file__ == str(CHECKOUT / package / "__init__.py")


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (each for package in PACKAGES for each in (tmp_path / package).rglob("*"))
    assert held == {str(each.relative_to(tmp_path)) for each in files if each.is_file()}
    assert {"tasks/stack/prefect.yaml", "tasks/stack/supervisord.conf"} <= held


def test_what_any_module_logs_is_shown_with_a_run() -> None:
    log = {
        package
        for package in PACKAGES
        for path in (CHECKOUT / package).rglob("*.py")
        if "logging.getLogger(__name__)" in path.read_text(encoding="utf-8")
    }
    shown = tomllib.loads((CHECKOUT / "prefect.toml").read_text())["logging"]["extra_loggers"]
    assert log <= set(shown)
    conf = (CHECKOUT / "tasks" / "stack" / "supervisord.conf").read_text()
    assert f'PREFECT_LOGGING_EXTRA_LOGGERS="{",".join(shown)}"' in conf
