"""The names of flow runs, which their runs in MLflow have too: the model, the recipe and when."""

from datetime import datetime

from prefect import runtime

from corpusmill.flows.config import base_of
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.storage.errors import CorpusmillError

NIGHTLY = "nightly"
# MLflow's tables hold 250 characters.
_LONGEST = 200


def name_pretraining() -> str:
    """The name of this flow run of `pretrain`, whose parameters were not checked yet."""
    given = runtime.flow_run.parameters
    recipe, overrides = given.get("recipe"), given.get("overrides")
    model = overrides.get("registration.name") if isinstance(overrides, dict) else None
    if model is None:
        try:
            model = base_of(RECIPES, recipe).registration.name
        except CorpusmillError:  # which the flow itself says
            model = "pretrain"
    return run_name(model, str(recipe), runtime.flow_run.scheduled_start_time)


def name_night() -> str:
    """The name of this flow run of `continue-pretraining`."""
    model = str(runtime.flow_run.parameters.get("name"))
    return run_name(model, NIGHTLY, runtime.flow_run.scheduled_start_time)


def run_name(model: str, recipe: str, when: datetime) -> str:
    """A name that says what is done and when it was due, by this machine's clock."""
    said = model if recipe == model else f"{model} {recipe}"
    return f"{said[:_LONGEST]} {when.astimezone():%Y-%m-%d %H:%M}"
