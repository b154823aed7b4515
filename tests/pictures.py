"""The pictures of README, made anew: `python -m tests.pictures --run RUN --night RUN`.

RUN is the id of a finished run in the MLflow of the running stack, or an outcome.json. Of a run in
MLflow its pages there and in Prefect are pictured too. Needs chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click
import mlflow

from corpusmill.flows.home import here
from corpusmill.storage.errors import ConfigError, CorpusmillError
from corpusmill.storage.settings import Settings
from corpusmill.storage.tracking import connect
from corpusmill.tasks.reports.html import render_html
from corpusmill.tasks.reports.outcome import Outcome, read_outcome
from corpusmill.tasks.reports.run import describe
from corpusmill.tasks.stack import control
from corpusmill.tasks.stack.authentication import link

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "images"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PHONE = 390
# Below stands text of nights in whatever script, for which there may be no letters.
_HEIGHTS = {"report": 1500, "night": 1130}
# The narrowest window of a browser without a screen is wider than a telephone.
_NARROWEST = 500


@dataclass(frozen=True)
class Shot:
    """One picture: of an address, in a window of so many pixels.

    Attributes:
        kept: how much of the width, from the left, is kept.
    """

    name: str
    address: str
    width: int
    height: int
    kept: int
    look: Literal["light", "dark"] = "light"


def take(shot: Shot, folder: Path) -> Path:
    """Writes NAME.png.

    Raises:
        ConfigError: there is no browser.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise ConfigError(
            f"None of {', '.join(_BROWSERS)} is on the PATH; install one: apt install chromium."
        )
    picture = folder / f"{shot.name}.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if shot.look == "dark" else []
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-sync",
                "--disable-background-networking", "--hide-scrollbars",
                "--force-device-scale-factor=1", f"--user-data-dir={profile}",
                "--virtual-time-budget=25000", f"--window-size={shot.width},{shot.height}",
                *dark, f"--screenshot={picture}", shot.address,
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )  # fmt: skip
    return picture


def shots_of_report(name: str, outcome: Outcome, scratch: Path) -> Iterator[Shot]:
    """The page on a screen in the light, and on a telephone in the dark."""
    page = scratch / f"{name}.html"
    page.write_text(render_html(describe(outcome)), encoding="utf-8")
    yield Shot(name, page.as_uri(), 1100, _HEIGHTS[name], 1100)
    frame = scratch / f"{name}-phone.html"
    style = f"border:0;width:{_PHONE}px;height:1500px"
    frame.write_text(f'<body style="margin:0"><iframe src="{page.name}" style="{style}"></iframe>')
    yield Shot(f"{name}-phone", frame.as_uri(), _NARROWEST, 1500, _PHONE, "dark")


def shots_of_stack(outcome: Outcome, scratch: Path) -> Iterator[Shot]:
    """The pages of a run in Prefect and MLflow, and its corpus report."""
    settings = running()
    assert settings.key is not None, "settings in effect"
    prefect, tracking = (
        link(page, settings.key) for page in (outcome.flow_run_url, outcome.mlflow_url)
    )
    yield Shot("prefect-run", prefect, 1300, 900, 1300)
    # What it opens beside that is an advertisement.
    yield Shot("mlflow-run", tracking, 1300, 900, 960)
    run = urlsplit(outcome.mlflow_url).fragment.partition("?")[0].rpartition("/")[2]
    corpus = scratch / "corpus.html"
    corpus.write_text(mlflow.artifacts.load_text(f"runs:/{run}/corpus.html"), encoding="utf-8")
    yield Shot("corpus-report", corpus.as_uri(), 1100, 1000, 1100)


def running() -> Settings:
    """The settings of the stack that runs."""
    settings, layout = here()
    return control.in_effect(settings, layout)


def outcome_of(run: str) -> tuple[Outcome, bool]:
    """An outcome, and whether it is of a run in MLflow."""
    if run.endswith(".json"):
        return read_outcome(Path(run).read_text(encoding="utf-8")), False
    connect(running())
    return read_outcome(mlflow.artifacts.load_text(f"runs:/{run}/outcome.json")), True


def slim(picture: Path, width: int) -> None:
    """Leaves the left part of a picture, in as many colours as such pages have."""
    from PIL import Image

    with Image.open(picture) as whole:
        part = whole.convert("RGB").crop((0, 0, width, whole.height)).quantize(128)
    part.save(picture, optimize=True)


@click.command()
@click.option("--run", help="Of a first run.")
@click.option("--night", help="Of a night.")
@click.option("--to", type=click.Path(path_type=Path), default=PICTURES, show_default=True)
def main(run: str | None, night: str | None, to: Path) -> None:
    """Make the pictures of README anew."""
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        shots = list[Shot]()
        for name, given in (("report", run), ("night", night)):
            if given:
                outcome, in_mlflow = outcome_of(given)
                shots += shots_of_report(name, outcome, Path(scratch))
                shots += (
                    shots_of_stack(outcome, Path(scratch)) if in_mlflow and name == "report" else ()
                )
                click.echo(f"{outcome.model} version {outcome.version}: {outcome.score:.3f}")
        for shot in shots:
            picture = take(shot, to)
            slim(picture, shot.kept)
            click.echo(f"  {picture}")


if __name__ == "__main__":
    try:
        main()
    except CorpusmillError as error:
        sys.exit(str(error))
