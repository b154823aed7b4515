"""Commands by which a person decides about nights: go back, let text in, have text forgotten."""

from pathlib import Path

import click

from corpusmill.flows.config import RegistrationConfig
from corpusmill.flows.home import here, tracked
from corpusmill.flows.inheritance import champions_config
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ArtifactError, ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Ledger, Rejected
from corpusmill.storage.markup import as_line, command
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import CHAMPION, MEMORY


@click.command()
@click.argument("name")
def rollback(name: str) -> None:
    """Make the previous champion of NAME champion again; what was learned since is new again."""
    settings, layout, name = _model_here(name)
    from corpusmill.storage.aliases import roll_back

    before, now = roll_back(settings, layout, name)
    gone = [Rejected(before.version, before.tags[MEMORY], None)] if MEMORY in before.tags else []
    Ledger(layout, name).roll_back(gone, now.version)
    click.echo(
        as_line(
            f"Version {now.version} of {name} is the champion again, in place of version "
            f"{before.version}. The next night that finds other text too learns what version "
            f"{before.version} had learned anew; `{command('release', name)}` has it learn that "
            "alone."
        )
    )


@click.command()
@click.argument("name")
@click.option("--file", help="Only what was set aside of this file.")
@click.option("--list", "only_list", is_flag=True, help="Say what waits, and let nothing in.")
def release(name: str, file: str | None, only_list: bool) -> None:
    """Let the next night of NAME learn what was set aside, or was refused or rolled back."""
    _, layout, name = _model_here(name)
    ledger = Ledger(layout, name)
    decisions = ledger.read()
    waiting = decisions.set_aside
    if not (waiting or decisions.rejected):
        raise ConfigError(
            f"Nothing of {name!r} waits; expected the name of a model of whose text some was set "
            "aside, refused or rolled back: `corpusmill nightly` lists the models."
        )
    if file is not None and file not in {each.file for each in waiting}:
        there = ", ".join(sorted({each.file for each in waiting})) or "none"
        raise ConfigError(
            f"Nothing of {file!r} is set aside; expected one of these files: {there}."
        )
    for each in waiting:
        if file in (None, each.file):
            click.echo(as_line(f"{each.file}: {len(each.ids)} documents; {each.why}"))
    if only_list:
        return
    count = ledger.release(file)
    if waiting:
        click.echo(f"{count} documents are let in; the next night reads them.")
    if file is None and decisions.rejected:
        versions = ", ".join(each.version for each in decisions.rejected)
        click.echo(f"What was learned in version {versions} may be learned again.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", "name", help="Only by this registered model; by all without it.")
def forget(file: Path, name: str | None) -> None:
    """Keep the documents of FILE, and their relatives, out of all later nights."""
    settings, layout, _ = _model_here(name or RegistrationConfig().name)
    from corpusmill.storage import aliases

    names = [name] if name else aliases.names(settings)
    concerned = 0
    for each in names:
        champion = aliases.find_by_alias(settings, each, CHAMPION)
        if champion is not None and MEMORY in champion.tags:
            concerned += _forget(settings, layout, each, file.absolute())
    if not concerned:
        raise ConfigError(
            f"No registered model learns at night ({', '.join(names) or 'there is none'}); "
            "expected one with a champion that was registered by this release."
        )


def _forget(settings: Settings, layout: Layout, name: str, file: Path) -> int:
    """Notes it for one model, and prints which of its versions have met it."""
    from corpusmill.storage import aliases
    from corpusmill.storage.artifacts import Ref, find
    from corpusmill.storage.memory import KIND
    from corpusmill.tasks.stages.forgetting import documents_of_file, meeting, with_relatives

    champion = aliases.champion_or_refuse(settings, name)
    config = champions_config(aliases.config_of(settings, champion), name)
    memories: dict[str, Ref] = {}
    for each in aliases.versions(settings, name):
        if MEMORY in each.tags:
            try:
                memories[each.version] = find(layout, KIND, each.tags[MEMORY])
            except ArtifactError as error:
                # What the others have met is kept out all the same.
                click.echo(as_line(f"  what version {each.version} has met is lost: {error}"))
    found = documents_of_file(layout, config.corpus, file)
    if not found.ids:
        raise ConfigError(
            f"{file} holds no document as {name} reads files; expected one: give the file that the "
            "text is in."
        )
    Ledger(layout, name).forget(with_relatives(found, memories.values()))
    click.echo(as_line(f"{name}: {len(found.ids)} documents of {file} are kept out from now on."))
    for version, memory in sorted(memories.items(), key=lambda item: int(item[0])):
        met = meeting(found, memory)
        if met.trained or met.held_out:
            click.echo(
                f"  version {version} was trained on {met.trained} of them or their relatives, and "
                f"{met.held_out} were held out of it"
            )
    return 1


def _model_here(name: str) -> tuple[Settings, Layout, str]:
    settings, layout = here()
    return tracked(settings, layout), layout, parse(RegistrationConfig, {"name": name}).name
