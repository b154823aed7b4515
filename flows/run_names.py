"""The names of flow runs, which their runs in MLflow have too: the model, the recipe and when."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import runtime

from corpusmill.flows.config import base_of
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.storage.errors import CorpusmillError

NIGHTLY, EVALUATION = "nightly", "evaluation"
# MLflow's tables hold 250 characters.
_LONGEST = 200


def name_pretraining() -> str:
    """The name of this flow run of `pretrain`."""
    given = runtime.flow_run.parameters
    recipe = given.get("recipe")
    model = model_of(recipe, given.get("overrides"))
    return run_name(model, str(recipe), runtime.flow_run.scheduled_start_time)


def name_night() -> str:
    """The name of this flow run of `continue-pretraining`."""
    model = str(runtime.flow_run.parameters.get("name"))
    return run_name(model, NIGHTLY, runtime.flow_run.scheduled_start_time)


def name_finetuning() -> str:
    """The name of this flow run of `finetune`."""
    given = runtime.flow_run.parameters
    recipe, when = str(given.get("recipe")), runtime.flow_run.scheduled_start_time
    return run_name(str(given.get("name")), recipe, when)


def name_suite() -> str:
    """The name of this flow run of `suite`."""
    given = runtime.flow_run.parameters
    said = f"suite {given.get('recipe')}"
    return run_name(
        model_named(str(given.get("start"))), said, runtime.flow_run.scheduled_start_time
    )


def model_named(start: str) -> str:
    """The name of a model that something starts with: a registered one's, or the folder's."""
    if start.startswith("models:/"):
        return re.split("[/@]", start.removeprefix("models:/"), maxsplit=1)[0]
    return Path(start).expanduser().name or start


def name_evaluation() -> str:
    """The name of this flow run of `evaluate`."""
    model = str(runtime.flow_run.parameters.get("model"))
    shown = Path(model).name if Path(model).is_absolute() else model.removeprefix("models:/")
    return run_name(shown, EVALUATION, runtime.flow_run.scheduled_start_time)


def run_name(model: str, recipe: str, when: datetime) -> str:
    """A name that says what is done and when it was due, by this machine's clock."""
    said = model if recipe == model else f"{model} {recipe}"
    return f"{said[:_LONGEST]} {when.astimezone():%Y-%m-%d %H:%M}"


def model_of(recipe: Any, overrides: Any) -> str:
    """The name that a pretraining registers under, by parameters that were not checked yet."""
    if isinstance(overrides, Mapping) and "registration.name" in overrides:
        return str(overrides["registration.name"])
    try:
        return base_of(RECIPES, recipe).registration.name
    except CorpusmillError:  # which the flow itself says
        return "pretrain"
