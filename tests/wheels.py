"""The wheel of this checkout: built, and installed as `pip install --no-deps` does."""

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ROOMS = ("flows", "tasks", "model", "storage")


def build(folder: Path) -> Path:
    """Builds the wheel in an empty folder, from a copy of what it is built from."""
    cached = shutil.ignore_patterns("__pycache__")
    for room in ("corpusmill", *ROOMS):
        shutil.copytree(CHECKOUT / room, folder / room, symlinks=True, ignore=cached)
    for name in ("pyproject.toml", "prefect.yaml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    program = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    subprocess.run([sys.executable, "-P", "-c", program], cwd=folder, check=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


def install(wheel: Path, target: Path) -> None:
    """Installs a wheel alone into a folder, which PYTHONPATH then sets before all else."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)
