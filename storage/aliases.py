"""The versions of registered models in MLflow, and the aliases that move from one to another."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.entities import PagedList

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.settings import Settings
from corpusmill.storage.tracking import connect, refusal
from corpusmill.storage.versions import (
    CHAMPION,
    DIGEST,
    PREVIOUS,
    REPLACED,
    RUN,
    RegisteredModel,
    RunRecord,
)
from corpusmill.storage.writing import locked

T = TypeVar("T")


def find_by_alias(settings: Settings, name: str, alias: str) -> RegisteredModel | None:
    """The version under an alias, or None where there is none."""
    client = connect(settings)
    try:
        return view(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in (
            ErrorCode.Name(RESOURCE_DOES_NOT_EXIST),
            "INVALID_PARAMETER_VALUE",  # what the SQL store answers for an unknown alias
        ):
            return None
        raise


def champion_of(settings: Settings, name: str) -> RegisteredModel | None:
    """The version under `champion`, or None as long as there is none.

    Raises:
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    try:
        return find_by_alias(settings, name, CHAMPION)
    except MlflowException as error:
        raise refusal(settings, error) from error


def champion_or_refuse(settings: Settings, name: str) -> RegisteredModel:
    """The version under `champion`.

    Raises:
        ConfigError: there is none yet.
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    champion = champion_of(settings, name)
    if champion is None:
        raise ConfigError(
            f"models:/{name}@champion does not exist; train one first with `make run` or "
            "`prefect deployment run pretrain/full`, or name another registered model."
        )
    return champion


def version_at(settings: Settings, address: str) -> RegisteredModel:
    """The version that an address names: `[models:/]NAME`, the champion, `NAME@ALIAS` or `NAME/1`.

    Where no model is called so it may be escaped, as addresses of pages are: `my%20model%2F1`.

    Raises:
        ConfigError: there is no such version, or another tool registered it.
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    every = versions(settings)
    for text in (address, unquote(address)):
        name, mark, rest = _parts(text)
        if found := [each for each in every if each.name == name]:
            break
    else:
        models = ", ".join(sorted({each.name for each in every})) or "there is none yet"
        raise ConfigError(
            f"There is no {''.join(_parts(address))} in the registry; expected a version of one of "
            f"its models: {models}."
        )
    for each in found:
        if rest == each.version if mark == "/" else rest in each.aliases:
            each.tag(DIGEST)
            return each
    there = sorted((each.version for each in found), key=int)
    aliases = sorted({alias for each in found for alias in each.aliases})
    example = shlex.quote(f"{name}/{there[-1]}")
    raise ConfigError(
        f"There is no {name}{mark}{rest} in the registry; expected a version "
        f"({', '.join(there)}) or an alias ({', '.join(aliases) or 'none'}), such as {example}."
    )


def _parts(address: str) -> tuple[str, str, str]:
    """Name, `@` or `/`, and alias or version; names hold neither mark."""
    name, *rest = re.split("([/@])", address.removeprefix("models:/"), maxsplit=1)
    mark, which = rest or ("@", CHAMPION)
    return name, mark, which


def config_of(settings: Settings, model: RegisteredModel) -> dict[str, Any]:
    """The resolved config that a version was made by.

    Raises:
        ConfigError: its run in MLflow has none, or is gone.
    """
    connect(settings)
    run_id = model.tags.get(RUN, model.run_id)
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/config.json")
        config: dict[str, Any] = json.loads(text)
    except (MlflowException, ValueError) as error:
        raise ConfigError(
            f"The config of {model.uri} cannot be read from its run {run_id} in MLflow "
            f"({error}); expected its config.json: restore the run, or pretrain the model again."
        ) from error
    return config


def text_of(settings: Settings, model: RegisteredModel, path: str, tag: str = RUN) -> str | None:
    """A text artifact of the run that made a version, or None where it is gone.

    Args:
        tag: of the version, that names another run.
    """
    connect(settings)
    try:
        return mlflow.artifacts.load_text(f"runs:/{model.tags.get(tag, model.run_id)}/{path}")
    except MlflowException:
        return None


def record_of(settings: Settings, model: RegisteredModel) -> RunRecord | None:
    """How a version was made; None where its run is gone from MLflow.

    Raises:
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    client = connect(settings)
    try:
        run = client.get_run(model.tags.get(RUN, model.run_id))
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise refusal(settings, error) from error
    try:
        config = config_of(settings, model)
    except ConfigError:
        config = {}
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    return RunRecord(
        run.info.run_id,
        str(run.info.run_name),
        _moment(run.info.start_time),
        {key: run.data.tags[key] for key in ("recipe",) if key in run.data.tags} | config,
        {each.dataset.name: each.dataset.digest for each in inputs},
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def names(settings: Settings) -> list[str]:
    """Of all registered models."""
    return [each.name for each in connect(settings).search_registered_models()]


def versions(settings: Settings, name: str | None = None) -> list[RegisteredModel]:
    """All versions of a registered model, or of all of them; with their aliases.

    Raises:
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    client = connect(settings)
    try:
        found = _all_pages(client.search_model_versions)
        models = _all_pages(client.search_registered_models)
    except MlflowException as error:
        raise refusal(settings, error) from error
    aliases: dict[tuple[str, str], set[str]] = {}
    for model in models:
        for alias, version in model.aliases.items():
            aliases.setdefault((model.name, str(version)), set()).add(alias)
    return [
        replace(view(each), aliases=frozenset(aliases.get((each.name, str(each.version)), ())))
        for each in found
        if name in (None, each.name)
    ]


def _all_pages(search: Callable[..., PagedList[T]]) -> list[T]:
    found, token = list[T](), None
    while True:
        page = search(page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def promote(
    settings: Settings, layout: Layout, model: RegisteredModel, instead_of: RegisteredModel | None
) -> RegisteredModel:
    """Gives a version the alias `champion`, if that is still with `instead_of`.

    Flows that share a store take turns. MLflow itself cannot compare and set: between flows on
    machines without a common store some milliseconds stay open.

    Returns:
        The champion: `model`, or another one that has come to it meanwhile.
    """
    with only_one(layout, model.name):
        champion = find_by_alias(settings, model.name, CHAMPION)
        if champion and (instead_of is None or champion.version != instead_of.version):
            return champion
        client = connect(settings)
        if champion:
            client.set_model_version_tag(model.name, model.version, REPLACED, champion.version)
            client.set_registered_model_alias(model.name, PREVIOUS, champion.version)
        client.set_registered_model_alias(model.name, CHAMPION, model.version)
    return model


def roll_back(
    settings: Settings, layout: Layout, name: str
) -> tuple[RegisteredModel, RegisteredModel]:
    """Gives the alias `champion` back to the previous champion.

    Returns:
        The version that was champion, and the one that is it now.

    Raises:
        ConfigError: there is no champion, or none before it.
    """
    with only_one(layout, name):
        champion = champion_or_refuse(settings, name)
        previous = find_by_alias(settings, name, PREVIOUS)
        if previous and previous.version == champion.version:
            # A promotion that was cut between its two aliases has moved this one only.
            previous = _version(settings, name, champion.tags.get(REPLACED))
        if previous is None:
            raise ConfigError(
                f"models:/{name}@previous does not exist, so version {champion.version} is the "
                "first champion; expected one before it: give the alias champion to another "
                "version on the model's page in MLflow."
            )
        client = connect(settings)
        client.set_registered_model_alias(name, CHAMPION, previous.version)
        if before := previous.tags.get(REPLACED):
            client.set_registered_model_alias(name, PREVIOUS, before)
        else:
            client.delete_registered_model_alias(name, PREVIOUS)
    return champion, previous


def _version(settings: Settings, name: str, number: str | None) -> RegisteredModel | None:
    return next((each for each in versions(settings, name) if each.version == number), None)


def note(settings: Settings, model: RegisteredModel, tags: Mapping[str, str]) -> None:
    """Sets tags of a version.

    Raises:
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's.
    """
    client = connect(settings)
    try:
        for key, value in tags.items():
            client.set_model_version_tag(model.name, model.version, key, value)
    except MlflowException as error:
        raise refusal(settings, error) from error


def only_one(layout: Layout, name: str) -> AbstractContextManager[None]:
    """Lets one flow at a time change the versions and aliases of a registered model."""
    return locked(layout.lock(digest_json(["registered model", name])))


def view(version: ModelVersion) -> RegisteredModel:
    """A version as MLflow's client gives it."""
    return RegisteredModel(
        version.name,
        str(version.version),
        str(version.run_id),
        dict(version.tags),
        created=_moment(version.creation_timestamp),
    )
