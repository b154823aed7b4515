"""Commands that say where something comes from: the lineage of a version, and what a digest is."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from corpusmill.flows.config import (
    ContinueConfig,
    PretrainConfig,
    digest_config,
    digest_night,
)
from corpusmill.flows.home import here, tracked
from corpusmill.flows.task_config import FinetuneConfig
from corpusmill.storage.config import Config, parse
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.markup import as_line, json_on_terminal
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import RegisteredModel, RunRecord

_SHOWN_FILES = 50
_DIGEST = re.compile(r"[0-9a-fA-F]{6,64}")


@click.command()
@click.argument("model", metavar="MODEL[@ALIAS|/VERSION]")
@click.option("--all", "every", is_flag=True, help=f"All files of a source, not {_SHOWN_FILES}.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all files.")
def lineage(model: str, every: bool, as_json: bool) -> None:
    """Print what a version was made of, and each that it goes back to, down to files and digests.

    MODEL is the name of a registered model, whose champion is meant where nothing else is said.
    """
    settings, layout = here()
    settings = tracked(settings, layout)
    # Here: MLflow takes two seconds to import, and what is refused needs none of it.
    from corpusmill.storage.aliases import version_at, versions
    from corpusmill.tasks.reports.lineage import as_tree, as_values
    from corpusmill.tasks.stages.lineage import lineage_of

    wanted = version_at(settings, model)
    generations = lineage_of(
        layout, versions(settings), wanted, lambda each: _record(settings, each)
    )
    if as_json:
        text = json.dumps(as_values(generations), ensure_ascii=False, indent=2)
        click.echo(json_on_terminal(text))
        return
    for line in as_tree(generations, None if every else _SHOWN_FILES):
        click.echo(as_line(line))


@click.command()
@click.argument("digest")
def show(digest: str) -> None:
    """Say what DIGEST is, or what begins so: from what, by which config, and who needs it."""
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(
            f"{digest!r} is no digest; expected at least 6 of its hexadecimal digits, such as "
            "0123abcd."
        )
    settings, layout = here()
    settings = tracked(settings, layout)
    from corpusmill.storage.aliases import versions
    from corpusmill.tasks.stages.digests import Meanings, one_digest

    meanings = Meanings(layout, versions(settings), lambda each: _record(settings, each))
    found = meanings.find(digest.lower())
    if not found:
        raise ConfigError(
            f"Nothing in {layout.root} and its registry has the digest {digest}; expected one of "
            "an artifact, a run, a version, a config, a file or a document: what no version "
            "needed may have been pruned."
        )
    if not one_digest(found):
        several = {each.digest: each.what for each in found}
        some = "; ".join(f"{each}, {what}" for each, what in list(several.items())[:5])
        raise ConfigError(
            f"{len(several)} digests begin with {digest}; expected more of its digits: {some}."
        )
    click.echo(max((each.digest for each in found), key=len))
    for each in found:
        click.echo(as_line(each.what))
        for name, said in each.facts:
            click.echo(as_line(f"  {name:<14} {said}"))


def _record(settings: Settings, version: RegisteredModel) -> RunRecord | None:
    from corpusmill.storage.aliases import record_of

    record = record_of(settings, version)
    return replace(record, config_digest=_config_digest(record)) if record else None


def _config_digest(record: RunRecord) -> str | None:
    """The digest of the config of a run, or None where it is not understood any more."""
    values = record.config
    try:
        if "task" in values:
            config = parse(FinetuneConfig, _only(FinetuneConfig, values))
            return digest_json(config.model_dump(mode="json"))
        if "night" in values:
            return digest_night(parse(ContinueConfig, _only(ContinueConfig, values)))
        return digest_config(parse(PretrainConfig, _only(PretrainConfig, values)))
    except ConfigError:
        return None


def _only(kind: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    """What of values is a field of a config: the recipe's name stands beside them."""
    return {key: each for key, each in values.items() if key in kind.model_fields}
