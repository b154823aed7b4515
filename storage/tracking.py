"""MLflow runs: one a flow run, its metrics projected from the journal of a training run."""

import getpass
import logging
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from mlflow.entities import DatasetInput, InputTag, LifecycleStage, Metric, Param, Run, RunTag
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
    MLFLOW_TRACKING_PASSWORD,
    MLFLOW_TRACKING_USERNAME,
)
from mlflow.exceptions import MlflowException, RestException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ServerError, StackError
from corpusmill.storage.metrics import TRAIN_LOSS
from corpusmill.storage.settings import CHECKOUT, USER, Settings, go_around_proxies
from corpusmill.storage.views import KEY, MODEL, RECIPE, TAG, view_by_model

FLOW_RUN_TAG = "prefect.flow_run_id"
_LOGGER = logging.getLogger(__name__)
_BATCH = 1000
_SYSTEM_METRICS_SECONDS = 5


class Tracker:
    """One MLflow run, open for writing."""

    def __init__(self, client: MlflowClient, url: str, run: Run) -> None:
        self.client = client
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self._url = url.rstrip("/")

    @property
    def link(self) -> str:
        """Address of the run's page."""
        page = f"{self._url}/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        return f"{page}?workflowType=machine_learning"

    @property
    def link_to_all(self) -> str:
        """Address of the page of all runs, grouped by the model that they are of."""
        page = f"{self._url}/#/experiments/{self.experiment_id}/runs"
        return f"{page}?workflowType=machine_learning&viewStateShareKey={KEY}"

    def link_to(self, path: str) -> str:
        """Address of the page that shows one of the run's artifacts."""
        page, _, query = self.link.partition("?")
        return f"{page}/artifacts/{path}?{query}"

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Logs every leaf of a nested config as a parameter, and the whole as config.json."""
        params = [Param(name, str(value)[:6000]) for name, value in _flatten(config)]
        logged = self.client.get_run(self.run_id).data.params
        for start in range(0, len(params), 100):
            fresh = [p for p in params[start : start + 100] if logged.get(p.key) != p.value]
            self.client.log_batch(self.run_id, params=fresh)
        self.client.log_dict(self.run_id, dict(config), "config.json")

    def log_dataset(self, name: str, ref: Ref, context: str) -> None:
        """Names an artifact as an input of the run, by its digest."""
        source = LocalArtifactDatasetSource(str(ref.path))
        dataset = MetaDataset(  # type: ignore[abstract]
            source, name=name, digest=ref.digest[:32]
        )
        entity = DatasetInput(
            dataset._to_mlflow_entity(), tags=[InputTag("mlflow.data.context", context)]
        )
        self.client.log_inputs(self.run_id, datasets=[entity])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Logs metrics of one step, now; those whose last value is the same are logged already."""
        now = int(time.time() * 1000)
        logged = self.client.get_run(self.run_id).data.metrics
        fresh = {k: float(v) for k, v in metrics.items() if logged.get(k) != float(v)}
        self.client.log_batch(
            self.run_id, metrics=[Metric(k, v, now, step) for k, v in fresh.items()]
        )

    def log_curve(self, name: str, points: Mapping[int, float]) -> None:
        """Logs the values of one metric by step; those that are logged already stay alone."""
        logged = {each.step for each in self.client.get_metric_history(self.run_id, name)}
        now = int(time.time() * 1000)
        fresh = [Metric(name, float(v), now, step) for step, v in points.items()]
        self.client.log_batch(self.run_id, [each for each in fresh if each.step not in logged])

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keeps a file among the run's artifacts."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_folder(self, path: Path, folder: str) -> None:
        """Keeps all files of a folder among the run's artifacts."""
        self.client.log_artifacts(self.run_id, str(path), folder)

    def log_text(self, text: str, path: str) -> None:
        """Keeps a text among the run's artifacts."""
        self.client.log_text(self.run_id, text, path)

    def log_bytes(self, data: bytes, name: str, folder: str) -> None:
        """Keeps a picture or another binary file among the run's artifacts."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / name
            path.write_bytes(data)
            self.log_file(path, folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self.client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in tags.items()])

    def child(self, name: str) -> "Tracker":
        """A run below this one: a new one, or on a retry the one of that name."""
        below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}'"
        found = [
            run
            for run in self.client.search_runs([self.experiment_id], filter_string=below)
            if run.info.run_name == name
        ]
        if found:
            return Tracker(self.client, self._url, found[0])
        mine = self.client.get_run(self.run_id).data.tags
        tags = {key: mine[key] for key in (MODEL, RECIPE) if key in mine}
        tags[MLFLOW_PARENT_RUN_ID] = self.run_id
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        return Tracker(self.client, self._url, run)

    def last_step(self) -> int:
        """The last step that training has logged; 0 where none has."""
        history = self.client.get_metric_history(self.run_id, TRAIN_LOSS)
        return max((point.step for point in history), default=0)

    def finish(self, status: str) -> None:
        """Ends the run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)


def connect(settings: Settings) -> MlflowClient:
    """A client of the MLflow server, for this process and what MLflow itself does in it, quiet."""
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)
    go_around_proxies()
    if settings.key is not None:
        MLFLOW_TRACKING_USERNAME.set(USER)
        MLFLOW_TRACKING_PASSWORD.set(settings.key)
    mlflow.set_tracking_uri(settings.mlflow_url)
    return MlflowClient(settings.mlflow_url)


def refusal(settings: Settings, error: MlflowException) -> StackError | ServerError:
    """Why the MLflow server did not do as it was asked, and what helps."""
    status = error.get_http_status_code() if isinstance(error, RestException) else None
    if status == HTTPStatus.FORBIDDEN:
        return StackError(
            f"What answers at {settings.mlflow_url} refuses the key of this stack: it is another "
            "stack's MLflow server; `make ui` prints where this one's is, and a shell that has "
            "sourced another environment.sh is best left."
        )
    if status is not None:
        return ServerError(
            f"The MLflow server at {settings.mlflow_url} answered {status} ({error.message}); see "
            "its log, mlflow.log in the home's stack/logs."
        )
    return ServerError(
        f"The MLflow server at {settings.mlflow_url} does not answer as expected ({error}); "
        "start it with `make up`, or set MLFLOW_TRACKING_URI."
    )


def open_run(settings: Settings, flow_run_id: str, name: str, tags: Mapping[str, str]) -> Tracker:
    """The MLflow run of a flow run: a new one, or on a retry the one there is.

    Raises:
        ServerError: the MLflow server does not answer.
        StackError: it is another stack's, or the experiment was deleted in it.
    """
    client = connect(settings)
    try:
        experiment_id = _experiment(client, settings.experiment)
        found = client.search_runs(
            [experiment_id], filter_string=f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}'"
        )
        if found:
            run = found[0]
            client.update_run(run.info.run_id, status="RUNNING")
        else:
            run = client.create_run(
                experiment_id,
                run_name=name,
                tags={FLOW_RUN_TAG: flow_run_id, **_source_tags(tags["flow"]), **tags},
            )
    except MlflowException as error:
        raise refusal(settings, error) from error
    return Tracker(client, settings.mlflow_url, run)


@contextmanager
def tracked(tracker: Tracker, settings: Settings) -> Iterator[Tracker]:
    """Watches the system while the block runs, and ends the MLflow run as the block ended."""
    monitor = SystemMetricsMonitor(
        tracker.run_id,
        sampling_interval=_SYSTEM_METRICS_SECONDS,
        resume_logging=True,
        tracking_uri=settings.mlflow_url,
    )
    monitor.start()
    status = "KILLED"
    try:
        yield tracker
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        monitor.finish()
        try:
            tracker.finish(status)
        except MlflowException as error:
            # What was done, or why it failed, is not lost by this; the next flow ends the run.
            _LOGGER.warning("the MLflow run could not be ended as %s: %s", status, error)


def running_flow_runs(settings: Settings, beside: Tracker) -> list[tuple[str, str]]:
    """(MLflow run id, flow run id) of the experiment's other runs that say they are running."""
    runs = connect(settings).search_runs(
        [beside.experiment_id], filter_string="attributes.status = 'RUNNING'"
    )
    return [
        (run.info.run_id, run.data.tags[FLOW_RUN_TAG])
        for run in runs
        if FLOW_RUN_TAG in run.data.tags and run.info.run_id != beside.run_id
    ]


def close_run(settings: Settings, run_id: str, status: str) -> None:
    """Ends a run that nobody will end: FINISHED or KILLED."""
    connect(settings).set_terminated(run_id, status)


def file_of_run(settings: Settings, flow_run_id: str, path: str) -> str | None:
    """A text artifact of the MLflow run of a flow run, or None if it has no such run."""
    client = connect(settings)
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        return None
    runs = client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}'",
        max_results=1,
    )
    if not runs:
        return None
    return mlflow.artifacts.load_text(f"runs:/{runs[0].info.run_id}/{path}")


def _experiment(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment and experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise StackError(
            f"The MLflow experiment {name!r} was deleted, expected one to write to: restore it by "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` in a shell "
            "that has sourced environment.sh, or name another in MLFLOW_EXPERIMENT_NAME."
        )
    view = view_by_model()
    if experiment:
        if experiment.tags.get(TAG) != view:
            client.set_experiment_tag(experiment.experiment_id, TAG, view)
        return str(experiment.experiment_id)
    try:
        # Without this tag the page of the experiment opens in the mode for traces of agents.
        tags = {"mlflow.experimentKind": "custom_model_development", TAG: view}
        return str(client.create_experiment(name, tags=tags))
    except MlflowException:
        experiment = client.get_experiment_by_name(name)  # another flow came first
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def _source_tags(flow: str) -> dict[str, str]:
    tags = {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": flow,
        "mlflow.user": getpass.getuser(),
        "host": platform.node(),
    }
    # An installed wheel may lie within somebody else's repository, whose commit says nothing of it.
    if (CHECKOUT / ".git").exists() and (commit := get_git_commit(str(CHECKOUT))):
        tags["mlflow.source.git.commit"] = commit
    return tags


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
