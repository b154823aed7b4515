"""What a process loads, and what a wheel holds for it: all that this checkout has."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.wheels import CHECKOUT, ROOMS, build

LOADED = "import {}, json, sys; print(json.dumps(sorted(sys.modules)))"


def _loaded(modules: str) -> set[str]:
    command = [sys.executable, "-P", "-c", LOADED.format(modules)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_flows_load_no_torch() -> None:
    loaded = _loaded("corpusmill.flows.pretrain, corpusmill.flows.continued")
    assert "prefect" in loaded
    assert not loaded & {"torch", "accelerate", "transformers"}


def test_the_functions_for_notebooks_load_no_server() -> None:
    loaded = _loaded("corpusmill.notebook")
    assert "tqdm" in loaded
    assert not loaded & {"prefect", "mlflow", "torch", "transformers"}


def test_the_training_process_loads_nothing_of_the_flows() -> None:
    loaded = _loaded("corpusmill.model.training.loop, corpusmill.model.train")
    assert "torch" in loaded
    assert not loaded & {"prefect", "mlflow", "transformers", "datasets", "pandas", "sklearn"}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_the_one_of_this_checkout(room: str) -> None:
    [folder] = import_module(f"corpusmill.{room}").__path__
    assert Path(folder).resolve() == CHECKOUT / room


def test_nothing_is_imported_by_the_name_of_its_room_alone() -> None:
    alone = re.compile(rf"^\s*(from|import) ({'|'.join(ROOMS)})\b", re.MULTILINE)
    files = [*CHECKOUT.glob("corpusmill/**/*.py"), *CHECKOUT.glob("tests/**/*.py")]
    files += [path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py")]
    assert [each for each in files if alone.search(each.read_text(encoding="utf-8"))] == []


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {each for room in ROOMS for each in (tmp_path / room).rglob("*") if each.is_file()}
    ours = {f"corpusmill/{each.relative_to(tmp_path)}" for each in files}
    assert held == ours | {"corpusmill/__init__.py", "corpusmill/notebook.py"}
    stack = "corpusmill/tasks/stack"
    assert {f"{stack}/prefect.yaml", f"{stack}/supervisord.conf"} <= held


def test_what_any_module_logs_is_shown_with_a_run() -> None:
    shown = tomllib.loads((CHECKOUT / "prefect.toml").read_text())["logging"]["extra_loggers"]
    assert shown == ["corpusmill"]
    conf = (CHECKOUT / "tasks" / "stack" / "supervisord.conf").read_text()
    assert f'PREFECT_LOGGING_EXTRA_LOGGERS="{",".join(shown)}"' in conf
