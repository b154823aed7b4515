"""The `corpusmill` command: the local stack, and a pretraining run on it."""

import shlex
import subprocess
import sys
from typing import Any

import click

from storage.errors import CorpusmillError
from storage.layout import Layout
from storage.settings import Settings, load_settings
from tasks import stack
from tasks.supervision import SCRIPTS

DEPLOYMENT = "pretrain/full"


class _Sentences(click.Group):
    """Prints an error of ours as its one sentence, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CorpusmillError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Sentences)
def main() -> None:
    """Pretrain language models on your own text."""


@main.command()
def up() -> None:
    """Start Prefect, MLflow and a worker on this machine, and deploy the flows."""
    settings, layout = _here()
    _up(settings, layout)


@main.command()
def down() -> None:
    """Cancel the running flow runs and stop everything that `up` has started."""
    settings, layout = _here()
    click.echo("Stopped." if stack.down(settings, layout) else f"Nothing runs in {layout.root}.")


@main.command()
def ui() -> None:
    """Print the addresses of the two web pages."""
    _print_links(*_here())


@main.command()
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=JSON",
    help="A parameter of the flow; may be repeated.",
)
def run(parameters: tuple[str, ...]) -> None:
    """Start the stack if need be, run the pretraining flow and follow it to its end."""
    settings, layout = _here()
    settings = _up(settings, layout)
    command = [str(SCRIPTS / "prefect"), "deployment", "run", DEPLOYMENT, "--watch"]
    for parameter in parameters:
        command += ["--param", parameter]
    environment = stack.process_environment(settings, layout)
    try:
        done = subprocess.run(command, env=environment, check=False)
    except KeyboardInterrupt:
        click.echo("\nThe run goes on without this command; `make down` cancels it.")
        sys.exit(130)
    if done.returncode != 0:
        sys.exit(done.returncode)
    # Here: what it imports takes a second, and the other commands need none of it.
    from flows.report import print_outcome  # noqa: PLC0415

    print_outcome()


def _here() -> tuple[Settings, Layout]:
    settings = load_settings()
    return settings, Layout(settings.home)


def _up(asked: Settings, layout: Layout) -> Settings:
    click.echo("Starting Prefect, MLflow and a worker (half a minute at most, usually)…")
    settings = stack.up(asked, layout)
    _print_links(settings, layout)
    if (asked.prefect_port, asked.mlflow_port) != (settings.prefect_port, settings.mlflow_port):
        click.echo("It ran already; `make down` first to have it on other ports.")
    return settings


def _print_links(settings: Settings, layout: Layout) -> None:
    prefect, mlflow = stack.links(settings, layout)
    click.echo(f"Prefect  {prefect}")
    click.echo(f"MLflow   {mlflow}")
    click.echo("In a shell, before commands of Prefect or MLflow:")
    click.echo(f"  . {shlex.quote(str(stack.environment_file(layout)))}")
