"""Links a Prefect flow run with its MLflow run, in both directions."""

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger, runtime
from prefect.artifacts import create_link_artifact
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel

from corpusmill.model.process import die_with_parent
from corpusmill.storage.extensions import digest_source, is_own
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import Tracker, close_run, open_run, running_flow_runs, tracked
from corpusmill.storage.views import MODEL, RECIPE
from corpusmill.tasks.retries import stage

FLOW_RUN_URL_TAG = "prefect.flow_run_url"


@dataclass(frozen=True)
class FlowContext:
    """What the stages of one flow run share.

    Attributes:
        settings: of this machine.
        layout: the store.
        tracker: the MLflow run of this flow run.
    """

    settings: Settings
    layout: Layout
    tracker: Tracker


def begin_flow() -> Settings:
    """What every flow begins with: its logs are shown, and it ends with its worker."""
    settings = load_settings()
    # What the stages log is shown with the run: Prefect lends extra loggers its handlers, no level.
    logging.getLogger("corpusmill").setLevel(logging.INFO)
    if settings.under_worker:
        # A worker that was killed could no longer cancel this flow run.
        die_with_parent(signal.SIGTERM)
    return settings


@contextmanager
def tracked_run(
    settings: Settings,
    model: str,
    recipe: str,
    config: BaseModel,
    kept: Mapping[str, Any] | None = None,
) -> Iterator[FlowContext]:
    """Opens the MLflow run of this flow run, with links both ways, and ends it with the block.

    Args:
        model: the name under which what the flow makes will be registered.
        kept: what is not the config's to say, and is logged beside it so that runs can be compared.
    """
    tracker = open_tracking(settings, model, recipe)
    get_run_logger().info("MLflow run: %s", tracker.link)
    with tracked(tracker, settings):
        logged = {**_named(recipe), **(kept or {}), **config.model_dump(mode="json")}
        begin_tracking(settings, tracker, logged)
        yield FlowContext(settings, Layout(settings.home), tracker)


def _named(recipe: str) -> dict[str, str]:
    """A recipe by its name; one's own by the digest of its source, too."""
    return {"recipe": recipe} | ({"recipe_source": digest_source(recipe)} if is_own(recipe) else {})


@stage("open-run")
def open_tracking(settings: Settings, model: str, recipe: str) -> Tracker:
    """Makes the MLflow run of this flow run, or finds it again, with links both ways.

    Raises:
        ServerError: the MLflow server does not answer.
    """
    flow_run = runtime.flow_run
    tracker = open_run(
        settings,
        str(flow_run.id),
        str(flow_run.name),
        {
            "flow": str(flow_run.flow_name),
            MODEL: model,
            RECIPE: recipe,
            FLOW_RUN_URL_TAG: str(flow_run.ui_url),
        },
    )
    here = f"[Prefect flow run]({flow_run.ui_url}), recipe `{recipe}`"
    tracker.set_tags(
        {"mlflow.note.content": f"{here}; [all runs, by model]({tracker.link_to_all})"}
    )
    create_link_artifact(
        key="mlflow-run", link=tracker.link, link_text="MLflow run", description="Figures"
    )
    return tracker


@stage("log-config")
def begin_tracking(settings: Settings, tracker: Tracker, config: Mapping[str, Any]) -> None:
    """Logs the config, and ends MLflow runs whose flow run ended before it could do that itself."""
    tracker.log_config(config)
    with get_client(sync_client=True) as client:
        for run_id, flow_run_id in running_flow_runs(settings, tracker):
            try:
                state = client.read_flow_run(UUID(flow_run_id)).state
            except (ObjectNotFound, ValueError):
                continue  # another Prefect server's
            if state and state.is_final():
                close_run(settings, run_id, "FINISHED" if state.is_completed() else "KILLED")
