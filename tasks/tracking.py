"""The tie between a Prefect flow run and its MLflow run, in both directions."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect import get_client, get_run_logger, runtime
from prefect.artifacts import create_link_artifact
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel

from storage.settings import Settings
from storage.tracking import Tracker, close_run, open_run, running_flow_runs, tracked

FLOW_RUN_URL_TAG = "prefect.flow_run_url"


@contextmanager
def tracked_run(settings: Settings, recipe: str, config: BaseModel) -> Iterator[Tracker]:
    """Opens the MLflow run of this flow run, with links both ways, and ends it with the block."""
    flow_run = runtime.flow_run
    tracker = open_run(
        settings,
        str(flow_run.id),
        str(flow_run.name),
        {
            "flow": str(flow_run.flow_name),
            "recipe": recipe,
            FLOW_RUN_URL_TAG: str(flow_run.ui_url),
            "mlflow.note.content": f"[Prefect flow run]({flow_run.ui_url}), recipe `{recipe}`",
        },
    )
    get_run_logger().info("MLflow run: %s", tracker.link)
    create_link_artifact(
        key="mlflow-run", link=tracker.link, link_text="MLflow run", description="Figures"
    )
    with tracked(tracker, settings):
        _close_abandoned(settings, tracker)
        tracker.log_config({"recipe": recipe, **config.model_dump(mode="json")})
        yield tracker


def _close_abandoned(settings: Settings, tracker: Tracker) -> None:
    """Ends MLflow runs whose flow run was killed before it could do that itself."""
    with get_client(sync_client=True) as client:
        for run_id, flow_run_id in running_flow_runs(settings, tracker):
            try:
                state = client.read_flow_run(UUID(flow_run_id)).state
            except (ObjectNotFound, ValueError):
                continue  # another Prefect server's
            if state and state.is_final():
                close_run(settings, run_id)
