"""The command `corpusmill nightly`: which registered models learn every night, and when."""

import re
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

import click

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.markup import as_line
from corpusmill.storage.names import registrable
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.versions import RegisteredModel, check_language_model
from corpusmill.tasks.stack import automations, control
from corpusmill.tasks.stack.nightlies import (
    FLOW,
    SHIPPED,
    Nightly,
    find_nightlies,
    remove_nightly,
    set_nightly,
)
from corpusmill.tasks.stack.prefect_server import PrefectServer

_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")


@click.command()
@click.argument("name", required=False)
@click.option("--at", metavar="HH:MM", help="When, every day.")
@click.option("--zone", metavar="ZONE", help="Time zone of --at, such as Asia/Shanghai.")
@click.option("--remove", is_flag=True, help="No more nights for NAME.")
@click.option("--tell", metavar="URL", help="A webhook for nights that end badly or hang.")
def nightly(
    name: str | None, at: str | None, zone: str | None, remove: bool, tell: str | None
) -> None:
    """Have the registered model NAME learn every night; without NAME list those that do."""
    _check(name, at, zone, remove)
    if tell is not None and name is not None:
        raise ConfigError(
            "--tell is for the nights of all models, expected no name: corpusmill nightly --tell "
            "https://hooks.example.com/nights."
        )
    settings = load_settings()
    settings = control.in_effect(settings, Layout(settings.home))
    server = PrefectServer(settings)
    if tell is not None:
        automations.tell(server, tell)
        _print_told(automations.told(server))
    elif name is not None and at is not None:
        if champion := _champion(settings, name):
            check_language_model(champion)
        _print_set(settings, set_nightly(server, name, at, zone), zone)
    elif name is not None and remove:
        _print_removed(remove_nightly(server, name))
    else:
        _print_all(settings, _of(name, find_nightlies(server)))


def _of(name: str | None, found: list[Nightly]) -> list[Nightly]:
    if name is None:
        return found
    if of_name := [each for each in found if each.model == name]:
        return of_name
    models = ", ".join(each.model for each in found) or "none"
    raise ConfigError(
        f"No nightly deployment continues {name!r}, expected one of: {models}; `corpusmill nightly "
        f"{name} --at 02:00` has it learn every night."
    )


def _check(name: str | None, at: str | None, zone: str | None, remove: bool) -> None:
    if name is None and (at or zone or remove):
        raise ConfigError(
            "--at, --zone and --remove are said of a model, expected its registered name: "
            "corpusmill nightly NAME --at 02:00."
        )
    if (zone and not at) or (remove and at):
        raise ConfigError(
            "--zone is that of --at, and --remove goes with neither; expected corpusmill nightly "
            "NAME --at HH:MM --zone ZONE, or corpusmill nightly NAME --remove."
        )
    if name is not None:
        try:
            registrable(name)
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
    if at is not None and not _TIME.fullmatch(at):
        raise ConfigError(f"--at is {at!r}; expected hours and minutes, such as 02:00.")
    if zone is not None and zone not in available_timezones():
        near = get_close_matches(zone, available_timezones(), 1) or ["Asia/Shanghai"]
        raise ConfigError(
            f"--zone is {zone!r}; expected a name of the IANA time zone database, such as "
            f"{near[0]}."
        )


def _print_set(settings: Settings, found: Nightly, zone: str | None) -> None:
    click.echo(
        as_line(
            f"{FLOW}/{found.deployment} continues {found.model} at {', '.join(found.when)}; "
            f"the next night comes {_moment(found, zone)}."
        )
    )
    if _champion(settings, found.model) is None:
        click.echo(
            as_line(
                f"{found.model} has no champion yet: its nights sleep until a run that registers "
                f"under this name, with registration.name={found.model}, makes one."
            )
        )


def _print_removed(found: Nightly) -> None:
    what = "has no schedule any more" if found.deployment == SHIPPED else "is removed"
    click.echo(as_line(f"{FLOW}/{found.deployment}, which continued {found.model}, {what}."))


def _print_all(settings: Settings, found: list[Nightly]) -> None:
    if not found:
        click.echo("No nights: `corpusmill nightly NAME --at 02:00` has a model learn every night.")
    for each in found:
        champion = _champion(settings, each.model)
        version = f"champion version {champion.version}" if champion else "no champion yet"
        when = ", ".join(each.when) or "never"
        click.echo(as_line(f"{each.model}  {when}  next {_moment(each, None)}  {version}"))


def _print_told(to: str | None) -> None:
    nobody = "nobody, but stand in the page's feed; `corpusmill nightly --tell URL` names a webhook"
    click.echo(as_line(f"Nights that fail, are skipped or hang are told to {to or nobody}."))


def _moment(found: Nightly, zone: str | None) -> str:
    if found.next is None:
        return "not scheduled"
    return f"{found.next.astimezone(ZoneInfo(zone) if zone else None):%Y-%m-%d %H:%M %Z}"


def _champion(settings: Settings, model: str) -> RegisteredModel | None:
    # Here: MLflow takes two seconds to import, and what is refused needs none of it.
    from corpusmill.storage.aliases import champion_of

    return champion_of(settings, model)
