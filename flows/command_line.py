"""The `corpusmill` command: the local stack, and a pretraining run on it."""

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from corpusmill.flows.config import (
    PretrainConfig,
    RegistrationConfig,
    base_of,
    differences,
    digest_config,
    flat,
    resolve,
)
from corpusmill.flows.decisions import forget, release, rollback
from corpusmill.flows.home import here, tracked
from corpusmill.flows.lineage import lineage, show
from corpusmill.flows.nightly import nightly
from corpusmill.flows.predict import predict
from corpusmill.flows.store_commands import prune, verify
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusmillError, StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.markup import as_line, on_terminal
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import check_language_model
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.launch import run_to_end, sample_command
from corpusmill.tasks.stack import control
from corpusmill.tasks.stack.authentication import link
from corpusmill.tasks.stack.environment import environment_file
from corpusmill.tasks.stack.prefect_server import LogLine, PrefectServer

DEPLOYMENT = "pretrain/full"
# Prefect writes it for each of the tasks, and does not say which.
_SAYS_NOTHING = "Finished in state Completed()"


class _Sentences(click.Group):
    """Prints an error of ours as its one sentence, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CorpusmillError as error:
            raise click.ClickException(on_terminal(str(error))) from error


@click.group(cls=_Sentences)
def main() -> None:
    """Pretrain language models on your own text."""


for command in (nightly, rollback, release, forget, prune, verify, lineage, show, predict):
    main.add_command(command)


@main.command()
def up() -> None:
    """Start Prefect, MLflow and a worker on this machine, and deploy the flows."""
    settings, layout = here()
    _up(settings, layout)
    _print_hint(layout)


@main.command()
def down() -> None:
    """Cancel the running flow runs and stop everything that `up` has started."""
    settings, layout = here()
    click.echo("Stopped." if control.down(settings, layout) else f"Nothing runs in {layout.root}.")


@main.command()
def ui() -> None:
    """Print the addresses of the two web pages."""
    settings, layout = here()
    _print_links(control.in_effect(settings, layout))
    _print_hint(layout)


@main.command()
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the flow, its value in JSON or a bare word; may be repeated.",
)
def run(parameters: tuple[str, ...]) -> None:
    """Start the stack if need be, run the pretraining flow and follow it to its end."""
    settings, flow_run = _run(DEPLOYMENT, dict(_parameter(text) for text in parameters))
    # Here: what it imports takes a second, and the other commands need none of it.
    from corpusmill.flows.outcome import print_outcome

    print_outcome(settings, flow_run)


@main.command()
@click.argument("prompt")
@click.option("--model", default=RegistrationConfig().name, show_default=True)
def sample(prompt: str, model: str) -> None:
    """Let the champion answer PROMPT: continue it, fill in its masks or gaps, or translate it."""
    name = parse(RegistrationConfig, {"name": model}).name
    settings, layout = here()
    settings = tracked(settings, layout)
    # Here: MLflow takes two seconds to import, and the other commands need none of it.
    from corpusmill.storage.aliases import champion_or_refuse
    from corpusmill.storage.registry import fetch

    champion = champion_or_refuse(settings, name)
    check_language_model(champion)
    sys.exit(run_to_end(sample_command(fetch(settings, layout, champion).path, prompt)))


@main.command()
@click.argument("model", default=RegistrationConfig().name)
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--text", multiple=True, metavar="FILES", help="A file, folder or glob; repeatable.")
def evaluate(model: str, overrides: tuple[str, ...], text: tuple[str, ...]) -> None:
    """Score MODEL on FILES, or on what is held out of its own text, and on its probes.

    MODEL is NAME, NAME@ALIAS or NAME/VERSION of a registered model, or a folder in the Hugging Face
    format. FIELD=VALUE are fields of corpus and evaluation, such as corpus.text_field=body.
    """
    given = dict(_parameter(each) for each in overrides)
    if text:
        given["corpus.sources"] = [str(Path(each).absolute()) for each in text]
    named = str(Path(model).absolute()) if Path(model).is_dir() else model
    _run("evaluate/model", {"model": named, "overrides": given})


@main.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
def config(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print the config of RECIPE with FIELD=VALUE merged in, what differs, and its digest."""
    from corpusmill.flows.recipes.catalogue import RECIPES

    # What is left to the machine (precision, processes) stays so: the digest is the same anywhere.
    resolved = resolve(RECIPES, recipe, dict(_parameter(text) for text in overrides))
    for name, value in flat(resolved).items():
        click.echo(as_line(f"{name} = {_as_json(value)}"))
    changed = differences(resolved, base_of(RECIPES, recipe))
    click.echo(f"\n{f'Other than in {recipe}:' if changed else f'All as in {recipe}.'}")
    for name, (value, standard) in changed.items():
        click.echo(as_line(f"  {name} = {_as_json(value)}, not {_as_json(standard)}"))
    click.echo(f"\nDigest {digest_config(resolved)}")


@main.command("try")
@click.argument("step")
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
def try_step(step: str, file: str, overrides: tuple[str, ...]) -> None:
    """Show what STEP keeps and drops of FILE, read as FIELD=VALUE (corpus.text_field=body) says.

    STEP is a field of corpus.cleaning, such as c4_quality, or package.module:Name of your own.
    """
    # Here: pyarrow and numpy take half a second to import.
    from corpusmill.tasks.ingestion.dry_run import cleaning_of, dry_run, in_lines

    _, layout = here()
    source = str(Path(file).absolute()) if Path(file).exists() else file
    corpus = parse(CorpusConfig, {"sources": [source], "cleaning": cleaning_of(step)})
    base = PretrainConfig(corpus=corpus)
    given = dict(_parameter(text) for text in overrides)
    result = dry_run(resolve({"try": lambda: base}, "try", given).corpus, layout.downloads)
    for line in in_lines(result):
        click.echo(as_line(line))


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def project(directory: Path) -> None:
    """Show a run that was trained without Prefect in MLflow: DIRECTORY holds its journal.jsonl."""
    settings = tracked(*here())
    from corpusmill.flows.outcome import project_run

    click.echo(project_run(settings, directory))


def _run(deployment: str, parameters: dict[str, Any]) -> tuple[Settings, str]:
    """Starts a run of a deployment on the stack, which is started if need be, and follows it.

    Returns:
        The settings in effect, and the flow run's id.

    Raises:
        StackError: it did not end well.
    """
    settings = _up(*here())
    server = PrefectServer(settings)
    flow_run = server.start_run(deployment, parameters)
    page = f"{settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{flow_run}"
    assert settings.key is not None, "settings in effect"
    click.echo(f"Run      {link(page, settings.key)}\n")
    try:
        for line in server.follow_run(flow_run):
            _print_line(line)
    except KeyboardInterrupt:
        click.echo("\nThe run goes on without this command; `make down` cancels it.")
        sys.exit(130)
    state, reason = server.run_state(flow_run)
    if state != "COMPLETED":
        raise StackError(f"The run ended {state.lower()}: {reason or 'see its log'} ({page}).")
    return settings, flow_run


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} has no '='; expected NAME=VALUE, such as train.max_steps=100.")
    try:
        return name, json.loads(value)
    except ValueError:
        # A bare word needs no quotes within quotes.
        return name, value


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _print_line(line: LogLine) -> None:
    if line.message == _SAYS_NOTHING:
        return
    level = f"{logging.getLevelName(line.level)}: " if line.level >= logging.WARNING else ""
    click.echo(f"{line.time.astimezone():%H:%M:%S} {level}{on_terminal(line.message)}")


def _up(asked: Settings, layout: Layout) -> Settings:
    click.echo("Bringing up Prefect, MLflow and a worker (some 15 seconds unless they run)…")
    settings = control.up(asked, layout)
    _print_links(settings)
    if (asked.prefect_port, asked.mlflow_port) != (settings.prefect_port, settings.mlflow_port):
        click.echo("It ran already; `make down` first to have it on other ports.")
    return settings


def _print_links(settings: Settings) -> None:
    prefect, mlflow = control.links(settings)
    click.echo(f"Prefect  {prefect}")
    click.echo(f"MLflow   {mlflow}")


def _print_hint(layout: Layout) -> None:
    click.echo("In a shell, before commands of Prefect or MLflow:")
    click.echo(f"  . {shlex.quote(str(environment_file(layout)))}")
